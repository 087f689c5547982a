//! Makes a world smaller for as long as the same thing goes wrong in it.

use toml::{Table, Value};

use crate::world::{Answer, Caller, End, Layer, Leaves, Provider, Report, World};

/// The most worlds that are tried. Enough for hundreds of steps.
const MOST_TRIES: usize = 20_000;

/// The smallest world that is found for which `breaks` is still true.
pub fn shrink(world: &World, mut breaks: impl FnMut(&World) -> bool) -> World {
    let mut smallest = world.clone();
    let mut tries = 0;
    'smaller: loop {
        for candidate in smaller(&smallest) {
            tries += 1;
            if tries > MOST_TRIES {
                return smallest;
            }
            if breaks(&candidate) {
                smallest = candidate;
                continue 'smaller;
            }
        }
        return smallest;
    }
}

/// Worlds that are a step smaller, the largest steps first.
fn smaller(world: &World) -> Vec<World> {
    let mut worlds = Vec::new();
    let mut add = |change: &dyn Fn(&mut World)| {
        let mut changed = world.clone();
        change(&mut changed);
        if changed != *world {
            worlds.push(changed);
        }
    };
    add(&|world| world.callers.truncate(world.callers.len() / 2));
    add(&|world| world.acts.clear());
    (0..world.layers.len()).for_each(|at| add(&|world| _ = world.layers.remove(at)));
    (0..world.callers.len()).for_each(|at| add(&|world| _ = world.callers.remove(at)));
    (0..world.acts.len()).for_each(|at| add(&|world| _ = world.acts.remove(at)));
    add(&|world| _ = world.providers.pop());
    for (at, provider) in world.providers.iter().enumerate() {
        add(&|world| world.providers[at] = Provider::default());
        // So that it does not matter any more whose call it is that the answer is for.
        for answer in &provider.script {
            add(&|world| world.providers[at].script = vec![answer.clone()]);
        }
        (0..provider.script.len()).for_each(|answer| add(&|world| _ = world.providers[at].script.remove(answer)));
        add(&|world| world.providers[at].busy = None);
        add(&|world| world.providers[at].dies_ms = None);
        add(&|world| world.providers[at].at_once = 0);
        add(&|world| world.providers[at].local = false);
    }
    for (at, layer) in world.layers.iter().enumerate() {
        tables(&layer.settings).into_iter().for_each(|settings| {
            add(&|world| world.layers[at] = Layer { kind: layer.kind, settings: settings.clone() });
        });
    }
    for at in 0..world.callers.len() {
        for change in CALLER {
            add(&|world| change(&mut world.callers[at]));
        }
    }
    for (at, provider) in world.providers.iter().enumerate() {
        for answer in 0..provider.script.len() {
            for change in ANSWER {
                add(&|world| change(&mut world.providers[at].script[answer]));
            }
        }
    }
    (0..world.acts.len()).for_each(|at| add(&|world| world.acts[at].at_ms /= 2));
    add(&|world| world.seed = 0);
    add(&|world| world.twins = false);
    worlds
}

/// How a caller is made simpler.
const CALLER: [fn(&mut Caller); 18] = [
    |caller| caller.leaves = Leaves::AtEnd,
    |caller| caller.pause = None,
    |caller| caller.restless = None,
    |caller| caller.clones = false,
    |caller| caller.cache.clear(),
    |caller| caller.deadline_ms = None,
    |caller| caller.read_timeout_ms = None,
    |caller| caller.most_output = None,
    |caller| caller.provider = None,
    |caller| caller.sensitive = false,
    |caller| caller.deterministic = false,
    |caller| caller.model = 0,
    |caller| caller.tenant = 0,
    |caller| caller.question = 0,
    |caller| caller.asks = Default::default(),
    |caller| caller.allowance = 0,
    |caller| caller.allowance = caller.allowance.saturating_sub(1),
    |caller| caller.at_ms = 0,
];

/// How an answer is made simpler.
const ANSWER: [fn(&mut Answer); 11] = [
    |answer| *answer = Answer::default(),
    |answer| answer.early = None,
    |answer| answer.end = End::Complete,
    |answer| answer.whole = false,
    |answer| answer.report = Report::AtEnd,
    |answer| answer.tokens = 0,
    |answer| answer.empty_frames = 0,
    |answer| answer.frames /= 2,
    |answer| answer.frames = answer.frames.saturating_sub(1),
    |answer| answer.frame_ms = 0,
    |answer| answer.head_ms = 0,
];

/// The table with one thing less, here or further down.
fn tables(table: &Table) -> Vec<Table> {
    let mut smaller = Vec::new();
    for (key, value) in table {
        let mut without = table.clone();
        without.remove(key);
        smaller.push(without);
        for value in values(value) {
            let mut changed = table.clone();
            changed.insert(key.clone(), value);
            smaller.push(changed);
        }
    }
    smaller
}

fn values(value: &Value) -> Vec<Value> {
    match value {
        Value::Table(table) => tables(table).into_iter().map(Value::Table).collect(),
        Value::Array(list) => {
            let mut smaller = Vec::new();
            for (at, item) in list.iter().enumerate() {
                let mut without = list.clone();
                without.remove(at);
                smaller.push(Value::Array(without));
                for item in values(item) {
                    let mut changed = list.clone();
                    changed[at] = item;
                    smaller.push(Value::Array(changed));
                }
            }
            smaller
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => Vec::new(),
    }
}
