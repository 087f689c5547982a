//! What is chosen and not learned.

/// What training can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How much a prompt that somebody typed into a chat counts; one of a benchmark counts 0.7.
    pub real_user: f32,
    /// What the figures are multiplied by. Larger is quicker to learn from them, and so they count more.
    pub figures: f32,
}

/// All settings among which training chooses.
pub const SETTINGS: [Settings; 9] = [
    Settings { real_user: 3.0, figures: 0.4 },
    Settings { real_user: 3.0, figures: 0.7 },
    Settings { real_user: 3.0, figures: 1.0 },
    Settings { real_user: 6.0, figures: 0.4 },
    Settings { real_user: 6.0, figures: 0.7 },
    Settings { real_user: 6.0, figures: 1.0 },
    Settings { real_user: 10.0, figures: 0.4 },
    Settings { real_user: 10.0, figures: 0.7 },
    Settings { real_user: 10.0, figures: 1.0 },
];
