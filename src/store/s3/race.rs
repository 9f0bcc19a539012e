//! The first of two futures to end.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;

/// Returns once a flag is set.
pub(super) async fn wait_for(mut flag: watch::Receiver<bool>) {
    if flag.wait_for(|set| *set).await.is_err() {
        // The sender is gone, so nobody can ever set it.
        std::future::pending::<()>().await;
    }
}

/// The one of two that ended first.
pub(super) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Runs two futures until one of them ends; the first is looked at first.
pub(super) async fn race<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let mut first = pin!(first);
    let mut second = pin!(second);
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(value));
        }
        if let Poll::Ready(value) = second.as_mut().poll(context) {
            return Poll::Ready(Either::Second(value));
        }
        Poll::Pending
    })
    .await
}
