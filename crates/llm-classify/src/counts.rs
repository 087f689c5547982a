//! What has been judged how often, counted where threads do not meet.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::ClassifyCounts;

// Two stripes never share a cache line, nor the two lines that a processor fetches together.
#[repr(align(128))]
#[derive(Debug)]
pub(crate) struct Counts {
    by_intent: Box<[AtomicU64]>,
    unlisted: AtomicU64,
    abstained: AtomicU64,
    /// By kind, as many as there are detectors' kinds. Locked for findings only, and by the threads of one stripe.
    findings: Mutex<Vec<(&'static str, u64)>>,
}

impl Counts {
    pub(crate) fn new(intents: usize) -> Self {
        Self {
            by_intent: (0..intents).map(|_| AtomicU64::new(0)).collect(),
            unlisted: AtomicU64::new(0),
            abstained: AtomicU64::new(0),
            findings: Mutex::default(),
        }
    }

    pub(crate) fn classified(&self, intent: usize) {
        self.by_intent[intent].fetch_add(1, Relaxed);
    }

    /// The classifier told an intent that it does not list.
    pub(crate) fn unlisted(&self) {
        self.unlisted.fetch_add(1, Relaxed);
    }

    pub(crate) fn abstained(&self) {
        self.abstained.fetch_add(1, Relaxed);
    }

    pub(crate) fn found(&self, kind: &'static str) {
        // A count is written whole or not at all, so a panic elsewhere does not spoil it.
        add(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner), kind, 1);
    }

    pub(crate) fn add_to(&self, sum: &mut ClassifyCounts) {
        for ((_, count), own) in sum.intents.iter_mut().zip(&self.by_intent) {
            *count += own.load(Relaxed);
        }
        sum.unlisted += self.unlisted.load(Relaxed);
        sum.abstained += self.abstained.load(Relaxed);
        for &(kind, count) in self.findings.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            add(&mut sum.findings, kind, count);
        }
    }
}

fn add(findings: &mut Vec<(&'static str, u64)>, kind: &'static str, count: u64) {
    match findings.iter_mut().find(|(known, _)| *known == kind) {
        Some((_, known)) => *known += count,
        None => findings.push((kind, count)),
    }
}
