//! The beginning of a trail: keys, the genesis entry, and the counts of rows older than the trail.

use ring::rand::SystemRandom;
use samplit_audit::payload::{
    ArmState, Block, Carried, Genesis, GenesisArm, GenesisElement, Method, Mode as ModeWord,
    Policy as PolicyWord, Prior as PriorPayload, Reallocation, Strategy as StrategyWord,
};
use samplit_audit::{DrawKey, Hash, PerElement, PidKey, Place, TypedPayload as _};
use samplit_bandit::{SCALE, Weights};
use samplit_domain::{ArmSet, Experiment, PolicyKind, Strategy, Violations, arm_sets, to_micros};
use samplit_store::assignments::{self, AssignmentCount};
use samplit_store::elements::{self, VariantCount};
use samplit_store::keys::{self, SealedKeys};
use samplit_store::statistics::{self, ArmStatistics};
use samplit_store::{Session, experiments, heads};

use crate::core::Core;
use crate::reallocation::{count, propose, totals};
use crate::trail::{self, Trail, unsigned};
use crate::{Error, ErrorKind, registration, visitor};

/// The largest count that an entry can tell.
const MAX_COUNT: u64 = (1 << 53) - 1;

/// How long after new weights came into force a batch that was prepared before may still use the
/// old ones.
pub(crate) const MAX_SNAPSHOT_LAG_US: u64 = 2_000_000;

/// Begins the trail of `experiment` in the transaction of `session`. Visitors who have rows already
/// are counted and carried over: an experiment may be older than the trail, whatever its status.
pub(crate) async fn begin(
    core: &Core,
    session: &Session<'_>,
    experiment: &Experiment,
) -> Result<(), Error> {
    if let Some(directory) = &core.directory {
        let exported = directory.list(experiment.id).await;
        if !exported.map_err(Error::directory)?.is_empty() {
            return Err(Error::conflict(
                "trail_was_exported",
                "checkpoints of a trail of this experiment were exported: the database was set back \
                 to before its start. Restore a later copy, or begin with a new experiment",
            ));
        }
    }
    let counts = assignments::count(session, experiment.id, None).await?;
    let carried = carried(experiment, &counts);
    let random = |bytes: &mut [u8; 32]| core.config.entropy.fill(bytes);
    let (mut draw, mut pid) = ([0; 32], [0; 32]);
    random(&mut draw);
    random(&mut pid);
    let (draw_key, pid_key) = (DrawKey::from_bytes(draw), PidKey::from_bytes(pid));

    let row = experiment.id.to_string();
    let seal = |column, plain: &[u8; 32]| {
        let place = Place {
            table: "experiment_keys",
            row: &row,
            column,
        };
        core.config
            .keys
            .seal(place, plain, &SystemRandom::new())
            .map_err(Error::internal)
    };
    let sealed = SealedKeys {
        draw: seal("draw_key_sealed", draw_key.expose())?,
        pid: Some(seal("pid_key_sealed", pid_key.expose())?),
    };

    let genesis = genesis(core, experiment, &draw_key, &carried)?;
    if let Err(detail) = fits(&genesis) {
        return Err(Error::conflict("too_many_arms", detail));
    }
    let mut trail = Trail::begin(experiment.id);
    let now = to_micros(core.config.clock.now());
    trail.append_snapshot(core.ids.next(), now, &genesis)?;
    trail.config_version = experiment.version;
    keys::insert(session, experiment.id, &sealed).await?;
    trail::store_new(session, trail).await?;
    if !carried.is_empty() {
        statistics::add(session, &carried).await?;
        elements::count(session, &corrections(experiment, &carried)).await?;
    }
    Ok(())
}

/// Whether the entries of this experiment that list every arm will fit into the trail, whatever the
/// counts become.
///
/// # Errors
/// A sentence for whoever wrote the draft.
fn fits(genesis: &Genesis) -> Result<(), String> {
    let largest = |element: &GenesisElement| Block {
        arms: element
            .arms
            .iter()
            .map(|_| ArmState {
                active: false,
                n: MAX_COUNT,
                s: MAX_COUNT,
                alpha: 1.0,
                beta: 1.0,
                p_best: 0.0,
            })
            .collect(),
        weights_ppb: element.weights_ppb.clone(),
    };
    let elements = match &genesis.elements {
        PerElement::One(element) => PerElement::One(largest(element)),
        PerElement::Many(elements) => PerElement::Many(elements.iter().map(largest).collect()),
    };
    let mut bytes = Vec::new();
    let widest = Reallocation {
        upto_seq: MAX_COUNT,
        method: Method::Thompson,
        elements,
    };
    widest.write_canonical(&mut bytes);
    let (first, later) = (
        genesis.to_payload().is_ok(),
        bytes.len() <= samplit_audit::sj1::MAX_BYTES,
    );
    if first && later {
        return Ok(());
    }
    Err(
        "an entry of the trail that lists every arm would be larger than 16 KiB; use fewer \
         elements, fewer variants or shorter names"
            .to_owned(),
    )
}

/// Checks that a draft can be started as far as its trail is concerned, by making what its start
/// would make.
pub(crate) fn check_fits(core: &Core, draft: &Experiment) -> Result<(), Error> {
    let refused = |pointer, code, detail| {
        let mut violations = Violations::default();
        violations.add(pointer, code, detail);
        Error::from(violations)
    };
    let document = registration::document(draft);
    let started = Experiment {
        registration: document
            .map_err(|detail| refused("/hypothesis", "not_registrable", detail))?,
        ..draft.clone()
    };
    let genesis = genesis(core, &started, &DrawKey::from_bytes([0; 32]), &[])?;
    fits(&genesis).map_err(|detail| refused("/elements", "too_many_arms", detail))
}

/// What the counters of the variants lack: whoever wrote the older rows may not have kept them.
fn corrections(experiment: &Experiment, carried: &[ArmStatistics]) -> Vec<VariantCount> {
    let sets = arm_sets(experiment);
    let variants = experiment
        .elements
        .iter()
        .flat_map(|element| &element.variants);
    variants
        .map(|variant| {
            let shows = |row: &&ArmStatistics| {
                let set = usize::try_from(row.element)
                    .ok()
                    .and_then(|element| sets.get(element));
                let arm = usize::try_from(row.arm)
                    .ok()
                    .zip(set)
                    .and_then(|(a, s)| s.arms.get(a));
                arm.is_some_and(|arm| arm.variants.contains(&variant.id))
            };
            let rows = || carried.iter().filter(shows);
            VariantCount {
                id: variant.id.0,
                allocations: rows().map(|row| row.assignments).sum::<i64>()
                    - variant.total_allocations,
                conversions: rows().map(|row| row.conversions).sum::<i64>()
                    - variant.total_conversions,
            }
        })
        .collect()
}

/// Begins the trail of an experiment that ran before there was one: rows that a database made from
/// the original schema brings along.
pub(crate) async fn adopt(core: &Core, experiment: &Experiment) -> Result<(), Error> {
    let id = experiment.id;
    core.database
        .run_tx("adopt_experiment", |session| {
            Box::pin(async move {
                experiments::lock(session, id).await?;
                if heads::read(session, id).await?.is_some() {
                    return Ok(());
                }
                if keys::read(session, id).await?.is_some() {
                    // It had a trail: whoever removed its head must not get a new one.
                    let what = format!("{id} has keys and no head");
                    Err(samplit_store::Error::inconsistent(
                        "audit_heads",
                        "experiment_id",
                        what,
                    ))?;
                }
                let experiment = experiments::read(session, id).await?;
                let experiment = experiment.ok_or(ErrorKind::NotFound("experiment"))?;
                begin(core, session, &experiment).await?;
                tracing::info!(experiment = %id, "the trail of an older experiment begins");
                Ok(())
            })
        })
        .await
}

/// Rows counted by variant, as statistics of the arms under snapshot 0.
fn carried(experiment: &Experiment, counts: &[AssignmentCount]) -> Vec<ArmStatistics> {
    let sets = arm_sets(experiment);
    let mut carried = Vec::<ArmStatistics>::new();
    for row in counts {
        let variants = visitor::stored_variants(experiment, row.variant_id, row.variants.as_ref());
        for (element, arm) in visitor::arms(&sets, &variants).into_iter().enumerate() {
            let key = (small(element), small(usize::from(arm)));
            let at = carried.iter().position(|c| (c.element, c.arm) == key);
            let at = at.unwrap_or_else(|| {
                carried.push(ArmStatistics {
                    experiment_id: experiment.id,
                    snapshot_seq: 0,
                    element: key.0,
                    arm: key.1,
                    assignments: 0,
                    conversions: 0,
                    value_sum: 0.0,
                    value_sum_squares: 0.0,
                });
                carried.len() - 1
            });
            carried[at].assignments += row.assignments;
            carried[at].conversions += row.conversions;
            carried[at].value_sum += row.value_sum;
            carried[at].value_sum_squares += row.value_sum_squares;
        }
    }
    carried.sort_by_key(|c| (c.element, c.arm));
    carried
}

/// An element or arm index as the database stores it.
pub(crate) fn small(index: usize) -> i16 {
    i16::try_from(index).expect("an experiment has at most 20 elements of 64 arms")
}

fn genesis(
    core: &Core,
    experiment: &Experiment,
    draw_key: &DrawKey,
    carried: &[ArmStatistics],
) -> Result<Genesis, Error> {
    let sets = arm_sets(experiment);
    if sets.is_empty()
        || sets
            .iter()
            .any(|set| !set.arms.iter().any(|arm| arm.is_active))
    {
        return Err(Error::conflict(
            "no_active_variant",
            "every element needs an active variant before visitors can be assigned",
        ));
    }
    let mode = if experiment.is_factorial() {
        ModeWord::Factorial
    } else if experiment.elements.len() > 1 {
        ModeWord::Independent
    } else {
        ModeWord::Single
    };
    let elements = sets.iter().enumerate().map(|(index, set)| {
        let weights = first_weights(experiment, index, set)?;
        Ok(GenesisElement {
            element_id: (mode == ModeWord::Independent).then(|| experiment.elements[index].id.0),
            arms: set
                .arms
                .iter()
                .map(|arm| GenesisArm {
                    name: arm.name.clone(),
                    variants: arm.variants.iter().map(|id| id.0).collect(),
                })
                .collect(),
            weights_ppb: weights.as_slice().to_vec(),
        })
    });
    let elements = elements.collect::<Result<Vec<_>, Error>>()?;
    let allocation = &experiment.allocation;
    let mut genesis = Genesis {
        origin: format!("{}/exp/{}", core.config.origin, experiment.id),
        strategy: match experiment.strategy {
            Strategy::Adaptive => StrategyWord::Adaptive,
            Strategy::Fixed => StrategyWord::Fixed,
        },
        policy: match (experiment.strategy, allocation.policy) {
            (Strategy::Fixed, _) => PolicyWord::Fixed,
            (Strategy::Adaptive, PolicyKind::Thompson) => PolicyWord::Thompson,
            (Strategy::Adaptive, PolicyKind::TopTwo) => PolicyWord::TopTwo,
        },
        prior: PriorPayload {
            alpha: allocation.prior_alpha,
            beta: allocation.prior_beta,
        },
        floor_ppb: floor_ppb(allocation.floor),
        warm_up: allocation.warm_up,
        draw_key_commitment: draw_key.commitment(experiment.id.0),
        max_snapshot_lag_us: MAX_SNAPSHOT_LAG_US,
        config_sha256: Hash::of(configuration(experiment).as_bytes()),
        hypothesis_sha256: experiment
            .registration
            .as_ref()
            .map(registration::hash)
            .transpose()?,
        mode,
        elements: PerElement::Many(Vec::new()),
        carried: carried
            .iter()
            .map(|c| {
                Ok(Carried {
                    element: u16::try_from(c.element).map_err(Error::internal)?,
                    arm: u16::try_from(c.arm).map_err(Error::internal)?,
                    n: unsigned(c.assignments)?,
                    s: unsigned(c.conversions)?,
                })
            })
            .collect::<Result<_, Error>>()?,
    };
    genesis.elements = if mode == ModeWord::Independent {
        PerElement::Many(elements)
    } else {
        PerElement::One(elements.into_iter().next().expect("there is an element"))
    };
    if experiment.strategy == Strategy::Adaptive && !carried.is_empty() {
        // What older rows have taught already counts from the first visitor on.
        let proposal = propose(&genesis, &sets, &totals(&sets, carried)?)?;
        let learnt = proposal
            .weights
            .iter()
            .map(|weights| weights.as_slice().to_vec());
        match &mut genesis.elements {
            PerElement::One(element) => element.weights_ppb = learnt.flatten().collect(),
            PerElement::Many(elements) => {
                for (element, weights) in elements.iter_mut().zip(learnt) {
                    element.weights_ppb = weights;
                }
            }
        }
    }
    Ok(genesis)
}

/// The weights before anything is known: even, or as configured.
fn first_weights(experiment: &Experiment, index: usize, set: &ArmSet) -> Result<Weights, Error> {
    let active = set.active();
    let configured = &experiment.allocation.weights;
    if experiment.strategy == Strategy::Adaptive || configured.is_empty() {
        return Weights::uniform(&active).map_err(Error::internal);
    }
    let shares = if experiment.is_factorial() {
        // The elements are drawn as if independent: the share of a combination is the product.
        configured.iter().fold(vec![1.0], |shares, next| {
            shares
                .iter()
                .flat_map(|share| next.iter().map(move |n| share * n))
                .collect()
        })
    } else {
        configured.get(index).cloned().unwrap_or_default()
    };
    Weights::fixed(&shares, &active).map_err(Error::internal)
}

fn floor_ppb(floor: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a checked floor is in [0, 1)"
    )]
    let ppb = (floor * count(SCALE)).round() as u32;
    ppb
}

/// How the weights of a genesis came about.
pub(crate) fn first_method(genesis: &Genesis) -> &'static str {
    let uniform = genesis.elements.as_slice().iter().all(|element| {
        let playing = element.weights_ppb.iter().filter(|weight| **weight > 0);
        let (low, high) = (playing.clone().min(), playing.max());
        low.zip(high).is_some_and(|(low, high)| high - low <= 1)
    });
    match genesis.policy {
        PolicyWord::Fixed => "fixed",
        _ if uniform => "uniform",
        PolicyWord::Thompson => "thompson",
        PolicyWord::TopTwo => "top_two",
    }
}

/// What is hashed into the genesis: everything that decides what visitors see, with sorted keys.
fn configuration(experiment: &Experiment) -> String {
    let elements: Vec<_> = experiment
        .elements
        .iter()
        .map(|element| {
            let variants = element.variants.iter().map(|variant| {
                serde_json::json!({
                    "id": variant.id, "name": variant.name, "content": variant.content,
                    "is_control": variant.is_control,
                })
            });
            serde_json::json!({
                "id": element.id, "name": element.name, "selector": element.selector,
                "fallback_selectors": element.fallback_selectors,
                "variants": variants.collect::<Vec<_>>(),
            })
        })
        .collect();
    let goals: Vec<_> = experiment
        .goals
        .iter()
        .map(|goal| serde_json::json!({ "name": goal.name, "kind": goal.kind }))
        .collect();
    serde_json::json!({
        "allocation": experiment.allocation, "elements": elements, "goals": goals,
        "stopping": experiment.stopping, "strategy": experiment.strategy, "target_url": experiment.target_url,
        "traffic_allocation": experiment.traffic_allocation,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::floor_ppb;

    #[test]
    fn a_floor_becomes_parts_per_billion() {
        assert_eq!(floor_ppb(0.01), 10_000_000);
        assert_eq!(floor_ppb(0.0), 0);
    }
}
