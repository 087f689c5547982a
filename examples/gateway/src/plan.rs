//! What the gateway is to do: the configuration, read and checked as a whole.

use llm_core::OneOrMany;
use llm_providers::{Preset, ProviderConfig};
use llm_stack::{Stack, StackConfig};
use secrecy::SecretString;

use crate::{
    Arguments,
    config::{AdminConfig, Config, ConfigError, GatewayConfig, ServerConfig},
    keys::{KeyConfig, Keys},
};

/// A configuration that has been checked as a whole.
pub(crate) struct Plan {
    pub(crate) gateway: GatewayConfig,
    pub(crate) stack: Stack,
    pub(crate) keys: Keys,
    pub(crate) admin_key: Option<SecretString>,
    /// Nobody chose the address, so another port is as good.
    pub(crate) may_move: bool,
}

impl Plan {
    /// Reads and checks everything, before anything is begun. What the layers of `previous` know of the providers, those of
    /// the new stack know from the beginning.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and where.
    pub(crate) fn make(arguments: &Arguments, previous: Option<&Stack>) -> Result<Self, String> {
        let Some(file) = &arguments.config else {
            let config = Config { gateway: GatewayConfig::default(), stack: stack_of_environment() };
            return Self::check(config, arguments, previous).map_err(|error| error.to_string());
        };
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        Config::parse(&text)
            .and_then(|config| Self::check(config, arguments, previous))
            .map_err(|error| format!("{name}: {}", error.in_text(&text)))
    }

    fn check(config: Config, arguments: &Arguments, previous: Option<&Stack>) -> Result<Self, ConfigError> {
        let Config { mut gateway, stack } = config;
        let may_move = arguments.config.is_none() && arguments.listen.is_none();
        gateway.server.listen = arguments.listen.unwrap_or(gateway.server.listen);
        gateway.server.check(gateway.keys.is_empty())?;
        let keys = Keys::new(&gateway.keys)?;
        check_names(&stack, &keys)?;
        check_attempts(&gateway.server, &stack)?;
        if let Some(admin) = &gateway.admin {
            admin.check()?;
        }
        let admin_key = gateway.admin.as_ref().map(AdminConfig::key).transpose()?;
        let stack = match previous {
            Some(previous) => Stack::resuming(stack, previous),
            None => Stack::try_from(stack),
        };
        let stack = stack.map_err(|error| ConfigError::at(error.path(), error.message()))?;
        check_models(&gateway.keys, &stack)?;
        Ok(Self { gateway, stack, keys, admin_key, may_move })
    }
}

/// A rule for a tenant or a key that is not there would be a rule for nobody, and keys without a name cannot be told apart.
fn check_names(stack: &StackConfig, keys: &Keys) -> Result<(), ConfigError> {
    let in_routes = stack.router.rules.iter().enumerate().flat_map(|(at, rule)| {
        let tenants = rule.when.tenant.iter().flat_map(|tenants| tenants.iter());
        tenants.map(move |tenant| (format!("router.rules[{at}].when.tenant"), &**tenant))
    });
    let classified = stack.classify.as_option().into_iter().flat_map(|classify| &classify.tenants);
    let classified = classified.map(|tenant| ("classify.tenants".to_owned(), &**tenant));
    let held = held_to(stack);
    let tenants = held.iter().flat_map(|held| named(held, "tenants", held.tenants));
    if let Some((place, tenant)) = in_routes.chain(classified).chain(tenants).find(|(_, name)| !keys.has_tenant(name)) {
        return Err(ConfigError::at(place, format!("no key stands for the tenant `{tenant}`")));
    }
    let mut users = held.iter().flat_map(|held| named(held, "users", held.users));
    if let Some((place, user)) = users.find(|(_, name)| !keys.has_user(name)) {
        return Err(ConfigError::at(place, format!("no key stands for the user `{user}`")));
    }
    let mut names = held.iter().flat_map(|held| named(held, "keys", held.keys));
    if let Some((place, name)) = names.find(|(_, name)| !keys.has_name(name)) {
        return Err(ConfigError::at(place, format!("no key is called `{name}`")));
    }
    let by_key = held.iter().find(|held| held.per.iter().any(|name| name == "key"));
    match by_key.filter(|_| keys.is_empty() || keys.has_nameless()) {
        Some(held) => {
            let message = "it counts by key, so every one of [[keys]] needs a `name`, and there must be some";
            Err(ConfigError::at(format!("{}.per", held.place), message))
        }
        None => Ok(()),
    }
}

/// Attempts that a layer may make, and the door never lets it.
fn check_attempts(server: &ServerConfig, stack: &StackConfig) -> Result<(), ConfigError> {
    let attempts = server.attempts.get();
    if attempts == 1 && stack.hedge.as_option().is_some() {
        let message =
            "a hedge is a second attempt, and server.attempts = 1 allows none: leave this table out, or raise it";
        return Err(ConfigError::at("hedge", message));
    }
    let Some(retry) = stack.retry.as_option() else { return Ok(()) };
    let tables = retry.tables().map(|(place, _, table)| (format!("retry.{place}"), table));
    let stated = [("retry".to_owned(), &retry.all)].into_iter().chain(tables);
    let mut stated = stated.filter_map(|(place, table)| table.most_retries.map(|retries| (place, retries)));
    match stated.find(|(_, retries)| *retries >= attempts) {
        Some((place, retries)) => {
            let needed = retries.saturating_add(1);
            let message = format!(
                "{retries} retries are {needed} attempts, and server.attempts = {attempts}: lower this, or raise that to {needed}"
            );
            Err(ConfigError::at(format!("{place}.most_retries"), message))
        }
        None => Ok(()),
    }
}

/// A limit or a cap: where it stands, and whom it names.
struct Held<'c> {
    place: String,
    per: &'c OneOrMany<String>,
    tenants: Option<&'c OneOrMany<String>>,
    users: Option<&'c OneOrMany<String>>,
    keys: Option<&'c OneOrMany<String>>,
}

fn held_to(stack: &StackConfig) -> Vec<Held<'_>> {
    let limits = stack.limit.as_option().into_iter().flat_map(|limit| limit.rules.iter().enumerate());
    let limits = limits.map(|(at, rule)| Held {
        place: format!("limit.rules[{at}]"),
        per: &rule.per,
        tenants: rule.tenants.as_ref(),
        users: rule.users.as_ref(),
        keys: rule.keys.as_ref(),
    });
    let caps = stack.budget.as_option().into_iter().flat_map(|budget| budget.caps.iter().enumerate());
    let caps = caps.map(|(at, cap)| Held {
        place: format!("budget.caps[{at}]"),
        per: &cap.per,
        tenants: cap.tenants.as_ref(),
        users: cap.users.as_ref(),
        keys: cap.keys.as_ref(),
    });
    limits.chain(caps).collect()
}

fn named<'c>(held: &Held<'_>, field: &str, names: Option<&'c OneOrMany<String>>) -> Vec<(String, &'c str)> {
    let place = format!("{}.{field}", held.place);
    names.into_iter().flat_map(|names| names.iter()).map(|name| (place.clone(), &**name)).collect()
}

/// A name that nobody serves would permit nothing. What ends in an asterisk may be the beginning of names to come.
fn check_models(keys: &[KeyConfig], stack: &Stack) -> Result<(), ConfigError> {
    let models = keys.iter().enumerate().flat_map(|(key, config)| {
        let models = config.models.iter().flatten().enumerate();
        models.map(move |(at, model)| (format!("keys[{key}].models[{at}]"), model))
    });
    match models.into_iter().find(|(_, model)| !model.ends_with('*') && !stack.serves(model)) {
        Some((place, model)) => Err(ConfigError::at(place, format!("there is no route or model `{model}`"))),
        None => Ok(()),
    }
}

/// What is served when nobody says what to serve: the models of each provider whose key is in the environment.
fn stack_of_environment() -> StackConfig {
    let has_key = |name: &&str| {
        let variable = Preset::find(name).and_then(|preset| preset.key_env);
        variable.and_then(|variable| std::env::var(variable).ok()).is_some_and(|key| !key.trim().is_empty())
    };
    let providers: Vec<_> = ["openai", "anthropic"].into_iter().filter(has_key).map(ProviderConfig::new).collect();
    if providers.is_empty() { StackConfig::simulated() } else { StackConfig { providers, ..StackConfig::default() } }
}
