//! The stack, built and checked.

use std::{collections::HashSet, sync::Arc};

use llm_core::{
    BoxLlmService, ConfigError, Target,
    catalog::{Catalog, ModelConfig},
};
use llm_providers::{Client, Provider, ProviderConfig, ProviderLayer};
use llm_router::{Dispatch, ProviderEntry, RouterConfig, Targets};
use llm_sim::{Sim, SimConfig};
use tower::Layer;

use crate::{
    Handles, StackConfig,
    layers::{Layers, Wanted},
    names::{self, Named},
};

/// Who serves a route, as the list of models tells it.
const ROUTES: &str = "router";

/// The name of the provider of simulated models.
const SIMULATED: &str = "simulated";

/// A stack of layers over providers. Cloning copies pointers; clones are one stack.
#[derive(Clone, Debug)]
pub struct Stack {
    service: BoxLlmService,
    models: Arc<[ModelEntry]>,
    providers: Arc<[Box<str>]>,
    targets: Targets,
    catalog: Arc<Catalog>,
    handles: Arc<Handles>,
}

/// A model that a stack serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// The name to call it by.
    pub name: String,
    /// The provider that serves it; `router` for a route, which may be served by several.
    pub provider: String,
}

impl Stack {
    /// Checks a configuration and builds the stack that it describes, to take the place of `previous` while calls are under
    /// way. Its layers go on with what those of `previous` know: which circuits are open and for how long, what was spent,
    /// who has used what of limits, answers that would be kept alike, and what was seen of targets. Quotas and percentiles of
    /// retry and hedge begin anew. The `resuming` of each layer says the rest.
    ///
    /// # Errors
    /// What is wrong with the configuration; `previous` is as it was.
    pub fn resuming(config: StackConfig, previous: &Stack) -> Result<Self, ConfigError> {
        Self::build(config, Some(&previous.handles))
    }

    /// The whole stack as a service.
    pub fn service(&self) -> BoxLlmService {
        self.service.clone()
    }

    /// The routes, and the models with a name of their own. Names that a provider serves by a pattern are not listed.
    pub fn models(&self) -> &[ModelEntry] {
        &self.models
    }

    /// Whether callers may ask for what goes by this name: a route, a model, or a model with its provider before it.
    pub fn serves(&self, name: &str) -> bool {
        self.targets.serves(name) || self.models.iter().any(|model| model.name == name)
    }

    /// The providers' names.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().map(|name| &**name)
    }

    /// Where calls for the models with a name of their own may go.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        self.targets.iter()
    }

    /// The target of these names, if calls may go there. Without a model it stands for all those of the provider's key; the
    /// key is named where a provider has several.
    pub fn target(&self, provider: &str, model: Option<&str>, key: Option<&str>) -> Option<Target> {
        self.targets.named(provider, model, key)
    }

    /// Whether sensitive calls may go there.
    pub fn is_local(&self, target: &Target) -> bool {
        self.targets.is_local(target)
    }

    /// Watches and controls the layers.
    pub fn handles(&self) -> &Handles {
        &self.handles
    }

    /// What is known of models: the built-in catalogue with the configuration's facts over it.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }
}

/// Checks a configuration and builds the stack that it describes. Keys are read from where they are.
impl TryFrom<StackConfig> for Stack {
    type Error = ConfigError;

    fn try_from(config: StackConfig) -> Result<Self, ConfigError> {
        Self::build(config, None)
    }
}

impl Stack {
    fn build(config: StackConfig, previous: Option<&Handles>) -> Result<Self, ConfigError> {
        let names = names::of(&config);
        // Taken apart, so that a new field is not forgotten.
        let StackConfig {
            providers,
            simulated,
            models,
            classify,
            fallback,
            limit,
            cache,
            router,
            prompt_cache,
            hedge,
            retry,
            budget,
            breaker,
            timeout,
        } = config;
        let wanted = Wanted { classify, fallback, limit, cache, prompt_cache, hedge, retry, budget, breaker, timeout };
        if providers.is_empty() && simulated.is_none() {
            return Err(ConfigError::new("providers", "there is nobody to call: state a provider, or `simulated`"));
        }
        let of_simulated = |error: ConfigError| error.within(SIMULATED);
        simulated.as_ref().map_or(Ok(()), check_simulated).map_err(of_simulated)?;
        // Before its facts are read, because this check names the field.
        let sim = simulated.clone().map(Sim::try_from).transpose().map_err(of_simulated)?;
        let mut catalog = Catalog::builtin().clone();
        if let Some(simulated) = &simulated {
            catalog.merge(simulated.catalog().map_err(of_simulated)?);
        }
        catalog.merge(stated_facts(models)?);

        let catalog = Arc::new(catalog);
        let layers = Layers::new(wanted, &router, &catalog)?;
        let mut parts = Parts::new(catalog);
        for (at, provider) in providers.into_iter().enumerate() {
            parts.add_provider(at, provider)?;
        }
        if let (Some(sim), Some(simulated)) = (sim, simulated) {
            let models: Vec<_> = simulated.models.into_iter().map(|model| model.name).collect();
            // Nothing leaves the process.
            parts.add(ProviderEntry::new(SIMULATED).local(), sim, models);
        }
        parts.finish(&router, layers, &names, previous)
    }
}

/// Refuses what would do nothing, because nobody reaches the simulated provider over http here, or reads its log.
fn check_simulated(config: &SimConfig) -> Result<(), ConfigError> {
    // Taken apart, so that a new field is not forgotten.
    let SimConfig { seed: _, models, keys, log_capacity, log_bytes } = config;
    let usual = SimConfig::default();
    if !keys.is_empty() {
        return Err(ConfigError::new("keys", "nothing asks for them here: the keys of callers are [[keys]]"));
    }
    for (name, is_stated) in
        [("log_capacity", *log_capacity != usual.log_capacity), ("log_bytes", *log_bytes != usual.log_bytes)]
    {
        if is_stated {
            return Err(ConfigError::new(name, "nobody can read its log here"));
        }
    }
    let rules = |model: &llm_sim::ModelConfig| model.faults.iter().position(|rule| rule.key.is_some());
    match models.iter().enumerate().find_map(|(at, model)| Some((at, rules(model)?))) {
        Some((model, fault)) => {
            let path = format!("models[{model}].faults[{fault}].key");
            Err(ConfigError::new(path, "no key is used here, so it would never apply"))
        }
        None => Ok(()),
    }
}

/// The facts of `[[models]]`. The first entry without which all would be well is the one at fault.
fn stated_facts(models: Vec<ModelConfig>) -> Result<Catalog, ConfigError> {
    Catalog::try_from(models.clone()).map_err(|error| {
        let is_wrong_with = |at: &usize| Catalog::try_from(models[..=*at].to_vec()).is_err();
        let at = (0..models.len()).find(is_wrong_with).expect("all entries together are wrong");
        ConfigError::new(format!("models[{at}]"), error.to_string())
    })
}

struct Parts {
    dispatch: Dispatch,
    models: Vec<ModelEntry>,
    names: HashSet<String>,
    targets: Targets,
    catalog: Arc<Catalog>,
}

impl Parts {
    fn new(catalog: Arc<Catalog>) -> Self {
        let targets = Targets::new(Arc::clone(&catalog));
        Self { dispatch: Dispatch::new(), models: Vec::new(), names: HashSet::new(), targets, catalog }
    }

    fn add_provider(&mut self, at: usize, mut config: ProviderConfig) -> Result<(), ConfigError> {
        let path = |field: &str| format!("providers[{at}].{field}");
        let name = config.name.clone();
        if name == SIMULATED || self.dispatch.providers().any(|known| known == name) {
            return Err(ConfigError::new(path("name"), format!("there are two providers named `{name}`")));
        }
        let mut models = std::mem::take(&mut config.models);
        let entry = ProviderEntry::new(name.as_str()).tags(std::mem::take(&mut config.tags));
        let entry = if config.local { entry.local() } else { entry };
        if let Some(blank) = models.iter().position(|model| model.trim().is_empty()) {
            return Err(ConfigError::new(
                path(&format!("models[{blank}]")),
                "the name is blank: say \"*\" for any model",
            ));
        }
        if models.is_empty() {
            models = self.models_in_catalog(&name);
        }
        if models.is_empty() {
            let message = format!("it is not known which models `{name}` serves: list them, or say \"*\" for any");
            return Err(ConfigError::new(path("models"), message));
        }
        let of_provider = |error: ConfigError| error.within(format_args!("providers[{at}]"));
        let client = Client::try_from(config.client.clone()).map_err(of_provider)?;
        let layer = ProviderLayer::try_from(config).map_err(of_provider)?.catalog(Arc::clone(&self.catalog));
        let entry = entry.keys(layer.key_names());
        let provider: Provider<Client> = layer.layer(client);
        self.add(entry, provider, models);
        Ok(())
    }

    /// What the catalogue lists for a provider, under its own name and with a date behind it.
    fn models_in_catalog(&self, provider: &str) -> Vec<String> {
        let listed = self.catalog.models().filter(|model| model.provider.as_deref() == Some(provider));
        listed.flat_map(|model| [model.name.to_string(), format!("{}-*", model.name)]).collect()
    }

    fn add<S>(&mut self, entry: ProviderEntry, service: S, models: Vec<String>)
    where
        S: tower::Service<llm_core::LlmRequest, Response = llm_core::LlmResponse> + Clone + Send + Sync + 'static,
        S::Error: Into<llm_core::Error>,
        S::Future: Send + 'static,
    {
        let provider = entry.name().to_owned();
        let mut dispatch = std::mem::take(&mut self.dispatch).provider(provider.as_str(), service, &models);
        if entry.is_local() {
            dispatch = dispatch.local(provider.as_str());
        }
        self.dispatch = dispatch;
        self.targets = self.targets.clone().provider(entry.models(models.iter().map(String::as_str)));
        for name in models {
            if !name.ends_with('*') && self.names.insert(name.clone()) {
                self.models.push(ModelEntry { name, provider: provider.clone() });
            }
        }
    }

    fn finish(
        self,
        router: &RouterConfig,
        layers: Layers,
        names: &[Named],
        previous: Option<&Handles>,
    ) -> Result<Stack, ConfigError> {
        let Self { dispatch, models, names: _, targets, catalog } = self;
        let plan = router.plan(targets.clone(), layers.intents()).map_err(|error| error.within("router"))?;
        names::check(names, &plan, |name| catalog.get(None, name).is_some())?;
        let routes =
            router.routes.keys().map(|name| ModelEntry { name: name.to_string(), provider: ROUTES.to_owned() });
        // A route of a model's name goes before the model.
        let others = models.into_iter().filter(|model| !router.routes.contains_key(&*model.name));
        let models = routes.chain(others).collect();
        let providers = dispatch.providers().map(Box::from).collect();
        let (service, handles) = layers.by_plan(plan, previous).around(dispatch)?;
        Ok(Stack { handles: Arc::new(handles), service, providers, models, targets, catalog })
    }
}
