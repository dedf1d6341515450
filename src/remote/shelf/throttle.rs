//! How many requests a store gets at once: as many as there are, until it says that they are too many; then half of them,
//! and with each answer one more (AIMD, as in TCP's congestion control, RFC 5681).
//!
//! It knows nothing of what is asked. A request counts until its answer begins, also one that the client sends again.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// More than are ever made at once.
const LIMIT_MAX: usize = 64;
/// Too many requests (RFC 6585), and what S3 says of that (`SlowDown`; RFC 9110, 15.6.4).
const TOO_MANY: [u16; 2] = [429, 503];

/// Of all clients of one store.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug)]
struct State {
    limit: usize,
    under_way: usize,
    /// When it was halved last.
    halved: Option<Instant>,
    waiting: Vec<Waker>,
}

/// A request that counts until this is dropped.
#[derive(Debug)]
struct UnderWay<'a> {
    throttle: &'a Throttle,
    began: Instant,
}

impl Throttle {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State {
            limit: LIMIT_MAX,
            under_way: 0,
            halved: None,
            waiting: Vec::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more may be made.
    fn enter(&self) -> Entering<'_> {
        Entering(self)
    }
}

struct Entering<'a>(&'a Throttle);

impl<'a> Future for Entering<'a> {
    type Output = UnderWay<'a>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<UnderWay<'a>> {
        let mut state = self.0.state();
        if state.under_way >= state.limit {
            state.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        state.under_way += 1;
        Poll::Ready(UnderWay {
            throttle: self.0,
            began: Instant::now(),
        })
    }
}

impl UnderWay<'_> {
    /// What the store said.
    fn answered(&self, status: u16) {
        let mut state = self.throttle.state();
        if !TOO_MANY.contains(&status) {
            if status < 500 {
                state.limit = (state.limit + 1).min(LIMIT_MAX);
            }
            return;
        }
        // Of those that were made together each is refused, and it is one and the same thing that they say.
        if state.halved.is_none_or(|at| self.began >= at) {
            state.limit = (state.limit.min(state.under_way) / 2).max(1);
            state.halved = Some(Instant::now());
            log::debug!("the store is busy: {} requests at once", state.limit);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.throttle.state();
        state.under_way -= 1;
        // All of them: one may have been given up, and the others look again.
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Makes clients whose requests count.
#[derive(Debug)]
pub(super) struct Connector(Arc<Throttle>);

impl Connector {
    pub(super) fn through(throttle: &Arc<Throttle>) -> Self {
        Self(Arc::clone(throttle))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Throttled {
            client: ReqwestConnector::default().connect(options)?,
            throttle: Arc::clone(&self.0),
        }))
    }
}

/// A client whose requests count.
#[derive(Debug)]
struct Throttled {
    client: HttpClient,
    throttle: Arc<Throttle>,
}

impl HttpService for Throttled {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let under_way = self.throttle.enter().await;
            let answer = self.client.execute(request).await?;
            under_way.answered(answer.status().as_u16());
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One more request, if it may be made now.
    fn enter(throttle: &Throttle) -> Option<UnderWay<'_>> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut throttle.enter()).poll(&mut context) {
            Poll::Ready(under_way) => Some(under_way),
            Poll::Pending => None,
        }
    }

    /// As many as may be made now.
    fn fill(throttle: &Throttle, at_most: usize) -> Vec<UnderWay<'_>> {
        let entered = std::iter::from_fn(|| enter(throttle));
        entered.take(at_most).collect()
    }

    #[test]
    fn what_is_too_much_is_halved_and_each_answer_adds_one() {
        let throttle = Throttle::new();
        let mut all = fill(&throttle, 16);
        assert_eq!(all.len(), 16);
        // All of them are refused, which halves once.
        all.iter().for_each(|one| one.answered(503));
        all.clear();
        assert_eq!(fill(&throttle, 100).len(), 8);
        let all = fill(&throttle, 100);
        all[0].answered(429);
        all[1].answered(429);
        assert!(enter(&throttle).is_none(), "there are more than may be");
        drop(all);
        let all = fill(&throttle, 100);
        assert_eq!(all.len(), 4);
        all.iter().for_each(|one| one.answered(200));
        assert_eq!(fill(&throttle, 100).len(), 4, "four more");
        // An error is neither.
        all[0].answered(500);
        drop(all);
        assert_eq!(fill(&throttle, 100).len(), 8);
    }

    #[test]
    fn one_request_is_always_made() {
        let throttle = Throttle::new();
        for _ in 0..10 {
            let all = fill(&throttle, 4);
            assert!(!all.is_empty());
            all.iter().for_each(|one| one.answered(503));
        }
        assert_eq!(fill(&throttle, 100).len(), 1);
    }

    #[test]
    fn who_waits_is_woken_by_whoever_ends() {
        let throttle = Throttle::new();
        let all = fill(&throttle, LIMIT_MAX);
        assert!(enter(&throttle).is_none());
        assert_eq!(throttle.state().waiting.len(), 1);
        drop(all);
        assert_eq!(throttle.state().waiting.len(), 0);
        assert!(enter(&throttle).is_some());
    }
}
