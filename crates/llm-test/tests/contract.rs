//! The layer that does nothing keeps every law.

use llm_test::{PassThroughLayer, Subject};

fn subject() -> Subject {
    Subject::new("pass-through", PassThroughLayer)
}

llm_test::contract!(subject);
