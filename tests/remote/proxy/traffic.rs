//! What passed the proxy.

/// What is known of a request by its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, encoded as the client sent them.
    pub(crate) target: String,
    /// Whether all of the object is asked for.
    pub(crate) is_whole: bool,
}

impl Request {
    /// The method, but `LIST` where a `GET` asks for the names in a bucket.
    pub(crate) fn kind(&self) -> &str {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let lists = |field: &str| field.starts_with("list-type=") || field.starts_with("prefix=");
        if self.method == "GET" && query.split('&').any(lists) {
            return "LIST";
        }
        &self.method
    }
}

/// Requests in the order of their arrival, and the bytes of both directions on the client's side, heads included.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) requests: Vec<Request>,
    /// From the client.
    pub(crate) up: u64,
    /// To the client.
    pub(crate) down: u64,
}

impl Traffic {
    /// How many requests of this kind (see [`Request::kind`]) there were.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.count_at(kind, "")
    }

    /// How many of these had `path` in their target.
    pub(crate) fn count_at(&self, kind: &str, path: &str) -> usize {
        let is_one = |request: &&Request| request.kind() == kind && request.target.contains(path);
        self.requests.iter().filter(is_one).count()
    }
}
