//! The simulated provider as an http server, in the dialects of OpenAI and Anthropic.

mod body;
mod dialect;
mod exchange;
mod head;
mod line;
mod routes;
mod strict;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use self::{
    line::{Line, Switch},
    routes::Routes,
};
use crate::{Received, Sim, log::Log};

/// A running http server, see [`Sim::serve`]. HTTP/1 and HTTP/2 without TLS. Dropping it closes all connections.
///
/// In OpenAI's dialect it serves `/v1/chat/completions` and `/v1/embeddings`, in Anthropic's `/v1/messages` and
/// `/v1/messages/count_tokens`; both have `/v1/models` and `/v1/models/{id}`, which are Anthropic's when the request
/// has an `anthropic-version`. The log tells them apart by [path](Received::path).
#[derive(Debug)]
pub struct SimServer {
    addr: SocketAddr,
    log: Arc<Log>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl SimServer {
    pub(crate) fn start(sim: Sim, listener: TcpListener) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let log = Log::new(sim.config());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, Routes::new(sim, Arc::clone(&log)), stopped));
        Ok(Self { addr, log, stop: Some(stop), task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where clients of the OpenAI API find it, such as `http://127.0.0.1:4010/v1`. Those of Anthropic's add the `v1`
    /// themselves: theirs is `http://` and the [address](Self::addr).
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// The requests of this server, the newest last, with headers and bodies as far as there is
    /// [room](crate::SimConfig::log_bytes).
    pub fn log(&self) -> Vec<Received> {
        self.log.all()
    }

    /// How many requests there were, also those that the log has forgotten.
    pub fn requests(&self) -> u64 {
        self.log.count()
    }

    /// Waits until the log is as wanted, and returns it. So tests need no sleeps:
    ///
    /// ```no_run
    /// # async fn wait(server: llm_sim::SimServer) {
    /// let log = server.until(|log| log.len() == 1 && log[0].ended.is_some()).await;
    /// # }
    /// ```
    pub async fn until(&self, holds: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        self.log.until(holds).await
    }

    /// Takes no more connections, and lets answers under way finish for as long as `grace`.
    pub async fn shutdown(mut self, grace: Duration) {
        if let Some(stop) = self.stop.take() {
            // The other end is gone only if the server has stopped already.
            let _ = stop.send(());
        }
        let _ = timeout(grace, &mut self.task).await;
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        // The task owns all connections: they end with it.
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, routes: Routes, mut stopped: oneshot::Receiver<()>) {
    let builder = auto::Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            // An error means that the handle was dropped, and the task is about to be aborted.
            _ = &mut stopped => break,
        };
        // Failures to accept are about one connection, or pass when others close.
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let switch = Switch::default();
        let line = TokioIo::new(Line::new(stream, switch.clone()));
        let routes = routes.clone();
        let service = service_fn(move |request| routes.clone().answer(request, switch.clone()));
        let connection = graceful.watch(builder.serve_connection(line, service).into_owned());
        connections.spawn(async move {
            // It ends with an error when the caller leaves and when a fault breaks it: both are in the log.
            let _ = connection.await;
        });
    }
    drop(listener);
    graceful.shutdown().await;
}
