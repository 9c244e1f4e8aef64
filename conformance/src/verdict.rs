//! What is made of a requirement.

use serde::Serialize;

/// Whether a node meets a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "kebab-case")]
pub enum Verdict {
    /// It does, as far as was seen.
    Pass,
    /// It does not: why.
    Fail(String),
    /// There is nothing to judge: the node does not speak this BEP, or nothing of it shows from outside.
    NotApplicable(String),
}

impl Verdict {
    /// `pass`, `fail` or `n/a`.
    pub const fn word(&self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail(_) => "fail",
            Verdict::NotApplicable(_) => "n/a",
        }
    }

    /// Why it is no pass.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Pass => None,
            Verdict::Fail(reason) | Verdict::NotApplicable(reason) => Some(reason),
        }
    }
}

/// How a check ends that does not end well, so that `?` can be used on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    Failed(String),
    NotApplicable(String),
    /// Not one datagram more may be sent.
    Stopped(&'static str),
}

impl Unmet {
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Unmet::Failed(reason.into())
    }
}

pub(crate) type Judged = Result<(), Unmet>;

impl From<Judged> for Verdict {
    fn from(judged: Judged) -> Self {
        match judged {
            Ok(()) => Verdict::Pass,
            Err(Unmet::Failed(reason)) => Verdict::Fail(reason),
            Err(Unmet::NotApplicable(reason)) => Verdict::NotApplicable(reason),
            Err(Unmet::Stopped(reason)) => Verdict::NotApplicable(format!("not judged: {reason}")),
        }
    }
}

/// Fails the check, with this reason, unless the condition holds.
macro_rules! require {
    ($condition:expr, $($reason:tt)+) => {
        let holds: bool = $condition;
        if !holds {
            return Err($crate::verdict::Unmet::Failed(format!($($reason)+)));
        }
    };
}

/// Ends the check as not applicable, with this reason, unless the condition holds.
macro_rules! given {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err($crate::verdict::Unmet::NotApplicable(format!($($reason)+)));
        }
    };
}

pub(crate) use {given, require};
