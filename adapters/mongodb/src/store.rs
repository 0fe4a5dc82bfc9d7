//! What is written for an event. Done twice it is as if it was done once, also by two at the same moment.

use crate::Inner;
use crate::document::{date, of};
use crate::error::{Failed, is_duplicate};
use chatcore::event::{Event, EventBody};
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{ReadPreference, SelectionCriteria};
use mongodb::{Collection, error::Result};

impl Inner {
    pub(crate) async fn store(&self, event: &Event) -> std::result::Result<(), Failed> {
        match &event.body {
            EventBody::ChatRequested(_) | EventBody::ChatResponded(_) => self.keep(event).await,
            EventBody::SessionDeleted => self.mark(event).await,
            // A kind that is newer than this handler.
            _ => Ok(()),
        }
    }

    /// A message may come again after its session was deleted. Who keeps it looks for the deletion after he wrote, and who
    /// deletes writes that down before he marks: so one of the two marks it, whatever the order.
    async fn keep(&self, event: &Event) -> std::result::Result<(), Failed> {
        let (id, session) = (event.id().to_string(), event.session.to_string());
        let mut document = of(event)?;
        // It is the name already.
        document.remove("event_id");
        put(&self.messages, &id, &document).await?;
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let deletion = self.deletions.find_one(doc! {"_id": session}).selection_criteria(primary).await?;
        if let Some(at) = deletion.as_ref().and_then(|deletion| deletion.get("timestamp")) {
            self.messages.update_one(doc! {"_id": id}, marked(at.clone())).await?;
        }
        Ok(())
    }

    async fn mark(&self, event: &Event) -> std::result::Result<(), Failed> {
        let session = event.session.to_string();
        let mut document = of(event)?;
        document.remove("session_id");
        put(&self.deletions, &session, &document).await?;
        let unmarked = doc! {"session_id": session, "deleted_at": Bson::Null};
        self.messages.update_many(unmarked, marked(date(event).into())).await?;
        Ok(())
    }
}

fn marked(at: Bson) -> Document {
    doc! {"$set": {"deleted_at": at}}
}

/// Puts a document there unless there is one of that name.
async fn put(collection: &Collection<Document>, name: &str, document: &Document) -> Result<()> {
    let put = || collection.update_one(doc! {"_id": name}, doc! {"$setOnInsert": document}).upsert(true);
    match put().await {
        // Another put it there at the same moment, and now it is found. If not, it is the key of an index that is not ours.
        Err(error) if is_duplicate(&error) => put().await,
        done => done,
    }
    .map(|_| ())
}
