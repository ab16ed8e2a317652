//! Single steps in literals, then whole runs against a model of a process whose cost depends on
//! what is left out.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const ALL: Reported = Reported { bodies: true, headers: true };

fn cpu_budget(cpu_percent: u32) -> Budget {
    Budget { cpu_percent, memory_bytes: 0, max_adjusted_count: 1024 }
}

/// A second at so many percent of a CPU.
fn cpu(percent: u64) -> Usage {
    Usage { elapsed_ns: SECOND, cpu_ns: percent * SECOND / 100, memory_bytes: 0 }
}

fn memory(memory_bytes: u64) -> Usage {
    Usage { elapsed_ns: SECOND, cpu_ns: 0, memory_bytes }
}

/// The steps that a run of intervals leads through.
fn steps(governor: &mut Governor, usages: &[Usage]) -> Vec<Step> {
    usages.iter().filter_map(|usage| Some(governor.handle_usage(usage)?.to)).collect()
}

#[test]
fn without_a_budget_nothing_is_ever_left_out() {
    let mut governor = Governor::new(cpu_budget(0), ALL);
    assert_eq!(steps(&mut governor, &[cpu(100_000); 100]), []);
}

#[test]
fn it_sheds_bodies_then_headers_then_flows_one_step_an_interval() {
    let mut governor = Governor::new(cpu_budget(50), ALL);
    assert_eq!(
        steps(&mut governor, &[cpu(60); 5]),
        [Step::NoBodies, Step::NoHeaders, Step::Sample(1), Step::Sample(2), Step::Sample(3)]
    );
    let shed = governor.step().shed();
    assert_eq!(shed, Shed { bodies: true, headers: true, sample_shift: 3 });
    assert_eq!(governor.step().adjusted_count(), 8);
}

#[test]
fn what_is_not_reported_is_no_step() {
    let mut governor = Governor::new(cpu_budget(50), Reported::default());
    assert_eq!(steps(&mut governor, &[cpu(60)]), [Step::Sample(1)]);
}

#[test]
fn it_acts_at_once_when_a_budget_is_exceeded_and_at_the_second_time_when_nearly() {
    let mut governor = Governor::new(cpu_budget(50), ALL);
    assert_eq!(steps(&mut governor, &[cpu(46), cpu(44), cpu(46), cpu(44)]), []);
    assert_eq!(steps(&mut governor, &[cpu(46), cpu(46)]), [Step::NoBodies]);
    assert_eq!(steps(&mut governor, &[cpu(50)]), [Step::NoHeaders]);
}

#[test]
fn memory_counts_as_cpu_does() {
    let budget = Budget { memory_bytes: 1000, ..cpu_budget(0) };
    let mut governor = Governor::new(budget, ALL);
    let change = governor.handle_usage(&memory(1000)).unwrap();
    assert_eq!((change.to, change.cause), (Step::NoBodies, Cause::Memory));
    assert_eq!(steps(&mut governor, &[memory(801); 20]), []);
    assert_eq!(steps(&mut governor, &[memory(800); 5]), [Step::Full]);
}

#[test]
fn it_returns_step_by_step_after_a_calm_stretch() {
    let mut governor = Governor::new(cpu_budget(50), ALL);
    steps(&mut governor, &[cpu(60); 3]);
    assert_eq!(steps(&mut governor, &[cpu(20); 4]), []);
    // One interval without room begins the stretch anew.
    assert_eq!(steps(&mut governor, &[cpu(30)]), []);
    assert_eq!(steps(&mut governor, &[cpu(20); 4]), []);
    let change = governor.handle_usage(&cpu(20)).unwrap();
    assert_eq!(change, Change { from: Step::Sample(1), to: Step::NoHeaders, cause: Cause::Room });
    assert_eq!(steps(&mut governor, &[cpu(20); 10]), [Step::NoBodies, Step::Full]);
    assert_eq!(steps(&mut governor, &[cpu(0); 100]), []);
    assert_eq!(governor.n_steps(), (3, 3));
}

#[test]
fn a_return_that_was_too_early_makes_it_wait_longer() {
    let mut governor = Governor::new(cpu_budget(50), Reported { bodies: true, headers: false });
    let swing = |governor: &mut Governor| {
        assert!(governor.handle_usage(&cpu(60)).is_some());
        (1..).find(|_| governor.handle_usage(&cpu(10)).is_some()).unwrap()
    };
    let waits: Vec<u32> = (0..9).map(|_| swing(&mut governor)).collect();
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 320, 320]);
    // Quiet for long, and what was learned is out of date.
    steps(&mut governor, &[cpu(30); 100]);
    assert_eq!(swing(&mut governor), 5);
}

#[test]
fn at_the_last_step_it_stays() {
    let budget = Budget { max_adjusted_count: 4, ..cpu_budget(50) };
    let mut governor = Governor::new(budget, Reported::default());
    assert_eq!(steps(&mut governor, &[cpu(60); 9]), [Step::Sample(1), Step::Sample(2)]);
    let all = Governor::new(Budget { max_adjusted_count: 1, ..budget }, ALL);
    assert_eq!(all.ladder, [Step::Full, Step::NoBodies, Step::NoHeaders]);
    let most = Governor::new(Budget { max_adjusted_count: u32::MAX, ..budget }, ALL);
    assert_eq!(most.ladder.last(), Some(&Step::Sample(10)));
}

#[test]
fn a_new_configuration_keeps_the_step_where_it_can() {
    let mut governor = Governor::new(cpu_budget(50), ALL);
    steps(&mut governor, &[cpu(60); 4]);
    assert_eq!(governor.reconfigure(cpu_budget(80), Reported::default()), None);
    assert_eq!(governor.step(), Step::Sample(2));
    let change = governor.reconfigure(Budget { max_adjusted_count: 1, ..cpu_budget(80) }, ALL);
    assert_eq!(change.unwrap().to, Step::NoHeaders);
    let change = governor.reconfigure(cpu_budget(0), ALL).unwrap();
    assert_eq!((change.to, change.cause), (Step::Full, Cause::Configuration));
}

/// A process that costs `base` percent whatever it does, and `work` percent for what comes, of
/// which bodies and headers make so many hundredths.
#[derive(Clone, Copy, Debug)]
struct Model {
    base: u64,
    work: u64,
    bodies: u64,
    headers: u64,
}

impl Model {
    fn cost(self, step: Step) -> u64 {
        let shed = step.shed();
        let left = 100 - if shed.bodies { self.bodies } else { 0 };
        let left = left - if shed.headers { self.headers } else { 0 };
        self.base + ((self.work * left / 100) >> shed.sample_shift)
    }
}

fn model() -> impl Strategy<Value = Model> {
    (0..30_u64, 0..20_000_u64, 0..50_u64, 0..40_u64)
        .prop_map(|(base, work, bodies, headers)| Model { base, work, bodies, headers })
}

proptest! {
    /// Whatever is used, in whatever order: one step at a time, and the counts agree.
    #[test]
    fn it_moves_one_step_at_a_time(
        usages in proptest::collection::vec((0..300_u64, 0..2000_u64), 1..400),
        max_adjusted_count in 0..5000_u32,
    ) {
        let budget = Budget { cpu_percent: 100, memory_bytes: 1000, max_adjusted_count };
        let mut governor = Governor::new(budget, ALL);
        let mut at = 0_i64;
        for (percent, memory_bytes) in usages {
            let before = governor.step();
            let change = governor.handle_usage(&Usage { memory_bytes, ..cpu(percent) });
            let Some(Change { from, to, cause }) = change else {
                prop_assert_eq!(governor.step(), before);
                continue;
            };
            prop_assert_eq!((from, to), (before, governor.step()));
            prop_assert_eq!(to < from, cause == Cause::Room);
            at += if to > from { 1 } else { -1 };
            prop_assert_eq!(governor.ladder[at as usize], to);
            let (shed, returned) = governor.n_steps();
            prop_assert_eq!(shed as i64 - returned as i64, at);
        }
    }

    /// Under a load that stays, it comes within the budget if any step does, within as many
    /// intervals as there are steps; and it does not swing: few steps in an hour.
    #[test]
    fn a_steady_load_is_brought_within_its_budget_and_stays(model in model()) {
        let budget = cpu_budget(100);
        let mut governor = Governor::new(budget, ALL);
        let n_steps = governor.ladder.len();
        for _ in 0..2 * n_steps {
            governor.handle_usage(&cpu(model.cost(governor.step())));
        }
        let cheapest = governor.ladder.iter().map(|step| model.cost(*step)).min().unwrap();
        let now = model.cost(governor.step());
        prop_assert!(now < 100 || cheapest >= 100, "{now} % at {:?}", governor.step());
        let (shed, _) = governor.n_steps();
        for _ in 0..3600 {
            governor.handle_usage(&cpu(model.cost(governor.step())));
        }
        prop_assert!(governor.n_steps().0 - shed <= 20, "{:?}", governor.n_steps());
    }

    /// When the load has gone, so has everything that was left out.
    #[test]
    fn it_returns_to_everything_when_the_load_has_gone(model in model()) {
        let mut governor = Governor::new(cpu_budget(100), ALL);
        for _ in 0..500 {
            governor.handle_usage(&cpu(model.cost(governor.step())));
        }
        for _ in 0..governor.ladder.len() as u32 * MAX_PATIENCE {
            governor.handle_usage(&cpu(model.base));
        }
        prop_assert_eq!(governor.step(), Step::Full);
    }
}
