//! The least that a proxy can do: a hyper server before a hyper client, with bodies handed on as they come.

use std::net::SocketAddr;

use http::{
    Request, Response, Uri,
    uri::{Authority, Scheme},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;

use crate::Failure;

pub(super) async fn serve(listener: TcpListener, origin: SocketAddr) -> Result<(), Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, Incoming>(connector);
    let origin = Authority::try_from(origin.to_string())?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, origin) = (client.clone(), origin.clone());
        let service = service_fn(move |request| pass_on(client.clone(), origin.clone(), request));
        // Whoever closes a connection in the middle of an answer meant to.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn pass_on(
    client: Client<HttpConnector, Incoming>,
    origin: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, Failure> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(origin);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(client.request(request).await?)
}
