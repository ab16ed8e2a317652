//! A histogram whose observations have weights: an exchange of a flow that stands for others is
//! counted as often as that. The library's own counts by one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Cheap to clone; clones share the numbers.
#[derive(Clone, Debug)]
pub(super) struct Weighted {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    sum: f64,
    count: u64,
    /// Upper bounds, ascending, the last of them infinite; and what lies at or below each and above
    /// the one before.
    buckets: Vec<(f64, u64)>,
}

impl Weighted {
    pub(super) fn new(bounds: &[f64]) -> Self {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let buckets = bounds.map(|bound| (bound, 0)).collect();
        Self { inner: Arc::new(Mutex::new(Inner { sum: 0.0, count: 0, buckets })) }
    }

    pub(super) fn observe(&self, value: f64, weight: u32) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.sum += value * f64::from(weight);
        inner.count = inner.count.saturating_add(weight.into());
        if let Some((_, n)) = inner.buckets.iter_mut().find(|(bound, _)| value <= *bound) {
            *n = n.saturating_add(weight.into());
        }
    }
}

impl TypedMetric for Weighted {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Weighted {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        encoder.encode_histogram::<NoLabelSet>(inner.sum, inner.count, &inner.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_weight_of_n_is_what_n_observations_of_the_library_are() {
        const BOUNDS: [f64; 3] = [0.1, 1.0, 2.5];
        let (weighted, plain) = (Weighted::new(&BOUNDS), Histogram::new(BOUNDS));
        for (value, weight) in [(0.1, 1), (0.5, 3), (2.5, 2), (99.0, 4), (0.0, 1)] {
            weighted.observe(value, weight);
            (0..weight).for_each(|_| plain.observe(value));
        }
        let text = |metric: Box<dyn FnOnce(&mut Registry)>| {
            let mut registry = Registry::default();
            metric(&mut registry);
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let expected = text(Box::new(move |registry| registry.register("x", "y", plain)));
        assert_eq!(text(Box::new(move |registry| registry.register("x", "y", weighted))), expected);
        assert!(expected.contains("x_count 11\n"), "{expected}");
    }
}
