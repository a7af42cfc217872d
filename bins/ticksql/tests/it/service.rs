//! A service on this machine that stands in for Athena and S3, answering by a function of the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long to wait for a call that must come.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The operation, such as `StartQueryExecution`; for S3, the method and the address.
    pub(crate) operation: String,
    pub(crate) body: Value,
}

/// An answer of the service.
pub(crate) enum Reply {
    Json(Value),
    /// A refusal by its code.
    Refusal(&'static str),
    /// A refusal by its code, in the service's words.
    RefusalOf(&'static str, &'static str),
    Xml(String),
    /// No answer, ever.
    Silence,
}

pub(crate) struct Service {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Service {
    pub(crate) fn start(reply: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            calls: Arc::default(),
        };
        let (calls, reply) = (Arc::clone(&service.calls), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (calls, reply) = (Arc::clone(&calls), Arc::clone(&reply));
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let call = read(&stream);
                    calls.lock().unwrap().push(call.clone());
                    answer(stream, reply(&call));
                });
            }
        });
        service
    }

    /// The operations so far, in their order.
    pub(crate) fn operations(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|call| call.operation.clone()).collect()
    }

    /// The statements that were started, in their order.
    pub(crate) fn statements(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let starts = calls
            .iter()
            .filter(|call| call.operation == "StartQueryExecution");
        starts
            .map(|call| {
                call.body
                    .get("QueryString")
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    pub(crate) fn was_called(&self, operation: &str) -> bool {
        self.operations().iter().any(|of| of == operation)
    }

    /// Waits until an operation is called.
    pub(crate) fn wait_for(&self, operation: &str) {
        let started = Instant::now();
        while !self.was_called(operation) {
            assert!(started.elapsed() < WAIT_MAX, "{:?}", self.operations());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn read(stream: &TcpStream) -> Call {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let mut operation = decoded(line.trim_end().trim_end_matches(" HTTP/1.1"));
    let mut length = 0;
    loop {
        line.clear();
        lines.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "x-amz-target" => value.rsplit('.').next().unwrap().clone_into(&mut operation),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).unwrap();
    Call {
        operation,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

/// Decodes the characters that are escaped in addresses of these tests.
fn decoded(text: &str) -> String {
    text.replace("%2F", "/").replace("%3D", "=")
}

fn answer(mut stream: TcpStream, reply: Reply) {
    let (status, kind, body) = match reply {
        Reply::Json(body) => ("200 OK", "application/x-amz-json-1.1", body.to_string()),
        Reply::Refusal(code) => return answer(stream, Reply::RefusalOf(code, "the test says so")),
        Reply::RefusalOf(code, message) => {
            let body = json!({"__type": code, "message": message});
            (
                "400 Bad Request",
                "application/x-amz-json-1.1",
                body.to_string(),
            )
        }
        Reply::Xml(body) => ("200 OK", "application/xml", body),
        Reply::Silence => loop {
            thread::park();
        },
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    // A client that has gone meanwhile needs no answer.
    _ = stream.write_all(head.as_bytes());
    _ = stream.write_all(body.as_bytes());
}

/// The answer of S3 to a listing of a bucket with these keys.
pub(crate) fn listing(address: &str, keys: &[(&str, u64)]) -> Reply {
    let parameter = |name: &str| {
        let (_, query) = address.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(of, _)| *of == name).map(|(_, value)| value)
    };
    let prefix = parameter("prefix").unwrap_or_default();
    let (mut folders, mut files) = (Vec::new(), String::new());
    for (key, bytes) in keys {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        match rest.split_once('/') {
            Some((folder, _)) if parameter("delimiter").is_some() => {
                folders.push(format!("{prefix}{folder}/"));
            }
            _ => files += &format!("<Contents><Key>{key}</Key><Size>{bytes}</Size></Contents>"),
        }
    }
    folders.dedup();
    let folders = folders
        .iter()
        .map(|folder| format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"));
    let folders: String = folders.collect();
    Reply::Xml(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult>\
         <IsTruncated>false</IsTruncated>{folders}{files}</ListBucketResult>"
    ))
}
