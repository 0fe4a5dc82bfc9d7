//! A server that answers as it is told: for what a real one says on rare occasions, and a stand-in never.

use mongodb::bson::{Document, doc};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it says to the next updates, and which it got. All else it answers as a good server that is empty.
#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) uri: String,
    answers: Arc<Mutex<VecDeque<Document>>>,
    updates: Arc<Mutex<Vec<Document>>>,
}

impl Scripted {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Document>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("mongodb://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        let scripted = Self { uri, answers, updates: Arc::default() };
        let server = scripted.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        scripted
    }

    /// The updates that came so far.
    pub(crate) fn updates(&self) -> Vec<Document> {
        self.updates.lock().unwrap().clone()
    }

    async fn serve(self, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let length = stream.read_i32_le().await?;
            let mut message = vec![0; usize::try_from(length).unwrap() - 4];
            stream.read_exact(&mut message).await?;
            let command = Document::from_reader(&message[17..]).unwrap();
            let answer = self.answer(command).to_vec().unwrap();
            let mut reply = Vec::new();
            reply.extend(i32::try_from(21 + answer.len()).unwrap().to_le_bytes());
            reply.extend([0; 4]);
            reply.extend(&message[..4]);
            reply.extend(2013_i32.to_le_bytes());
            reply.extend([0; 5]);
            reply.extend(answer);
            stream.write_all(&reply).await?;
        }
    }

    fn answer(&self, command: Document) -> Document {
        match command.keys().next().unwrap().as_str() {
            "update" => {
                self.updates.lock().unwrap().push(command);
                self.answers.lock().unwrap().pop_front().unwrap_or_else(|| doc! {"ok": 1, "n": 1, "nModified": 0})
            }
            "find" => doc! {"ok": 1, "cursor": {"id": 0_i64, "ns": "chatcore.deletions", "firstBatch": []}},
            "hello" | "isMaster" | "ismaster" => doc! {
                "ok": 1, "isWritablePrimary": true, "ismaster": true, "helloOk": true, "minWireVersion": 0, "maxWireVersion": 21,
                "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
            },
            _ => doc! {"ok": 1},
        }
    }
}
