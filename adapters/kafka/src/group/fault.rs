//! What the client says went wrong.

use crate::error::NAME;
use chatcore::error::BackendError;
use krafka::error::{ErrorCode, KrafkaError};

pub(super) fn failed(error: KrafkaError) -> BackendError {
    match lasts(&error) {
        true => BackendError::never(NAME, error),
        false => BackendError::later(NAME, error),
    }
}

/// Whether somebody has to give a right, or mend a setting. The client calls more than that not retriable, also what the next
/// rebalance mends.
fn lasts(error: &KrafkaError) -> bool {
    match error {
        KrafkaError::Config { .. } => true,
        // No version that both know.
        KrafkaError::Protocol { kind, .. } => !kind.is_retriable(),
        KrafkaError::Broker { code, .. } => matches!(
            code,
            ErrorCode::TopicAuthorizationFailed
                | ErrorCode::GroupAuthorizationFailed
                | ErrorCode::ClusterAuthorizationFailed
                | ErrorCode::SaslAuthenticationFailed
                | ErrorCode::UnsupportedVersion
                | ErrorCode::UnsupportedAssignor
                | ErrorCode::InconsistentGroupProtocol
                | ErrorCode::InvalidGroupId
                | ErrorCode::InvalidSessionTimeout
        ),
        other => other.is_fatal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use krafka::error::ProtocolErrorKind;

    #[test]
    fn what_somebody_has_to_mend_is_told_from_what_passes() {
        let broker = |code| KrafkaError::broker(code, "");
        let no_version = KrafkaError::protocol_kind(ProtocolErrorKind::UnknownApiVersion, "");
        let no_right = [ErrorCode::GroupAuthorizationFailed, ErrorCode::TopicAuthorizationFailed].map(broker);
        for error in [no_version, broker(ErrorCode::UnsupportedVersion)].into_iter().chain(no_right) {
            assert!(!failed(error.clone()).may_pass(), "{error}");
        }
        let rebalance = [ErrorCode::RebalanceInProgress, ErrorCode::IllegalGeneration, ErrorCode::UnknownMemberId];
        let away = [KrafkaError::timeout("poll"), KrafkaError::unknown_topic("deleted")];
        for error in rebalance.map(broker).into_iter().chain(away) {
            assert!(failed(error.clone()).may_pass(), "{error}");
        }
    }
}
