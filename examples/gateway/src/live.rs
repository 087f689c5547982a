//! The gateway as it runs: from its listeners to its last request, through changes of its configuration.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use axum::Router;
use http::Request;
use llm_stack::Stack;
use tokio::{sync::watch, task::spawn_blocking, time::Instant};
use tower::{Service, ServiceExt, util::Oneshot};
use tracing::{error, info, warn};

use crate::{
    Arguments,
    admin::{self, Admin},
    app, banner,
    config::{AdminConfig, GatewayConfig, ServerConfig},
    hosts::Hosts,
    linger::Lingering,
    notices::Recent,
    plan::Plan,
    server::{self, App, Phase},
    signals::{Signals, Told},
    stats::Stats,
};

/// Serves what is planned until it is told to stop, and by another plan whenever it is told to read its configuration
/// again.
pub(crate) async fn run(plan: Plan, arguments: Arguments) -> io::Result<()> {
    let listener = server::listen(plan.gateway.server.listen, plan.may_move).await?;
    let admin_listener = match &plan.gateway.admin {
        Some(admin) => Some(server::listen(admin.listen, false).await?),
        None => None,
    };
    let (phase, phases) = watch::channel(Phase::Serving);
    let running = Running {
        stats: Stats::default(),
        phase: phases,
        started: Instant::now(),
        reloads: Reloads::default(),
        notices: Recent::default(),
    };
    // Before anybody is told that it runs, and could tell it to stop.
    let mut signals = Signals::new()?;

    banner::print(&listener, admin_listener.as_ref(), &plan.stack, plan.keys.is_empty())?;
    let fixed = Fixed::of(&plan.gateway);
    let admin = running.admin(&plan).map(Current::new);
    let (limits, limited) = watch::channel(plan.gateway.server.limits());
    let mut admin_task = None;
    if let (Some(listener), Some(admin)) = (admin_listener, &admin) {
        let serving = server::serve(listener, admin.clone(), limited.clone(), running.phase.clone());
        admin_task = Some(tokio::spawn(serving));
    }
    let mut listening = running.notices.listen(&plan.stack);
    let (app, mut stack, mut server) = running.app(plan);
    let app = Current::new(app);
    let doors = tokio::spawn(server::serve(listener, app.clone(), limited, running.phase.clone()));

    let arguments = Arc::new(arguments);
    while signals.next().await? == Told::Reload {
        let (arguments, previous) = (Arc::clone(&arguments), stack.clone());
        // It reads files, and makes clients with all their certificates.
        let plan = tokio::select! {
            plan = spawn_blocking(move || Plan::make(&arguments, Some(&previous))) => plan.map_err(io::Error::other)?,
            // A file that cannot be read may take forever.
            stopped = signals.stop() => {
                stopped?;
                break;
            }
        };
        let plan = plan.and_then(|plan| fixed.hold(plan));
        match plan {
            Ok(plan) => {
                if let Some(current) = &admin {
                    // Where there is no key for operators any more there is nothing for them either.
                    current.replace(running.admin(&plan).unwrap_or_default());
                }
                limits.send_replace(plan.gateway.server.limits());
                // Those who listened before hear nothing from now on: what is told twice is told by the same layers.
                drop(listening);
                listening = running.notices.listen(&plan.stack);
                info!("the configuration was read again: {}", banner::summary(&plan.stack));
                let next;
                (next, stack, server) = running.app(plan);
                app.replace(next);
                // Whoever sees it counted can be sure that it holds.
                running.reloads.count(true);
            }
            Err(sentence) => {
                error!("the configuration was read again and stays as it was: {sentence}");
                running.reloads.count(false);
            }
        }
    }

    info!(delay = ?server.drain_delay, grace = ?server.grace,
        "told to stop: open requests may finish; a second signal ends at once");
    let drained = async {
        phase.send_replace(Phase::Leaving);
        tokio::time::sleep(server.drain_delay).await;
        phase.send_replace(Phase::Stopping);
        let _ = doors.await;
        if let Some(task) = admin_task {
            let _ = task.await;
        }
    };
    tokio::select! {
        () = drained => info!("stopped"),
        again = signals.stop() => again?,
    }
    Ok(())
}

/// What stays, whatever the configuration is.
struct Running {
    stats: Stats,
    phase: watch::Receiver<Phase>,
    started: Instant,
    reloads: Reloads,
    notices: Recent,
}

impl Running {
    /// What callers reach, with the stack behind it and how it is served.
    fn app(&self, plan: Plan) -> (impl App<Lingering> + Sync + use<>, Stack, ServerConfig) {
        let Plan { gateway: GatewayConfig { server, admin: _, keys: _ }, stack, keys, admin_key: _, may_move: _ } =
            plan;
        (app::app(&stack, &self.stats, keys, &server, self.phase.clone()), stack, server)
    }

    /// What operators reach, if there is a key for them.
    fn admin(&self, plan: &Plan) -> Option<Router> {
        let (AdminConfig { listen, hosts, .. }, key) = (plan.gateway.admin.as_ref()?, plan.admin_key.clone()?);
        let pages = Admin {
            stack: plan.stack.clone(),
            stats: self.stats.clone(),
            phase: self.phase.clone(),
            started: self.started,
            reloads: self.reloads.clone(),
            notices: self.notices.clone(),
        };
        Some(admin::app(pages, key, Hosts::new(*listen, hosts)))
    }
}

/// How often the configuration was read again. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reloads(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    refused: AtomicU64,
}

impl Reloads {
    fn count(&self, is_taken: bool) {
        let count = if is_taken { &self.0.taken } else { &self.0.refused };
        count.fetch_add(1, Relaxed);
    }

    /// How often it was taken.
    pub(crate) fn taken(&self) -> u64 {
        self.0.taken.load(Relaxed)
    }

    /// How often there was something wrong with it.
    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }
}

/// What belongs to the listeners, and is as it was when they began.
#[derive(Debug, PartialEq, Eq)]
struct Fixed {
    listen: SocketAddr,
    connections: u32,
    admin: Option<SocketAddr>,
}

impl Fixed {
    fn of(gateway: &GatewayConfig) -> Self {
        let GatewayConfig { server, admin, keys: _ } = gateway;
        Self {
            listen: server.listen,
            connections: server.max_connections,
            admin: admin.as_ref().map(|admin| admin.listen),
        }
    }

    /// The plan with what stays as it is. Says so where the plan wants it otherwise, and does not take one that is in order
    /// only at the address that it states: it may ask nobody for a key, and everybody can reach where it would be served.
    fn hold(&self, mut plan: Plan) -> Result<Plan, String> {
        let next = Self::of(&plan.gateway);
        let GatewayConfig { server, admin, keys: _ } = &mut plan.gateway;
        server.listen = self.listen;
        if let (Some(admin), Some(listen)) = (admin, self.admin) {
            admin.listen = listen;
        }
        server.check(plan.keys.is_empty()).map_err(|error| error.to_string())?;
        let changed = [
            ("server.listen", self.listen != next.listen),
            ("server.max_connections", self.connections != next.connections),
            ("admin.listen", self.admin != next.admin),
        ];
        for (path, _) in changed.into_iter().filter(|(_, is_changed)| *is_changed) {
            warn!("{path} is as it was: it changes when the gateway is started again");
        }
        Ok(plan)
    }
}

/// What is served, which can be replaced while it is. Each request is answered by what is there when it comes.
struct Current<A>(Arc<ArcSwap<A>>);

impl<A> Current<A> {
    fn new(app: A) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(app)))
    }

    fn replace(&self, app: A) {
        self.0.store(Arc::new(app));
    }
}

impl<A> Clone for Current<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A, B> Service<Request<B>> for Current<A>
where
    A: Service<Request<B>> + Clone,
{
    type Response = A::Response;
    type Error = A::Error;
    type Future = Oneshot<A, Request<B>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        A::clone(&self.0.load()).oneshot(request)
    }
}
