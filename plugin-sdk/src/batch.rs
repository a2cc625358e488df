//! Scores a batch: reads columns, calls the author's function per row, and writes columns. Wasm and native tests run
//! the same code.

use crate::answer::Answer;
use crate::bindings::{Batch, Blobs, Verdicts};
use crate::input::Input;
use crate::scoring::Scoring;
use crate::state;

/// Scores the rows of a batch in their order.
///
/// # Errors
/// The batch breaks the contract, or the plugin refuses a row. The text names the input or the row.
pub(crate) fn score<P: Scoring>(config: &P::Config, batch: &Batch) -> Result<Verdicts, String> {
    if P::ABOUT.state_version.is_some() { score_with_state::<P>(config, batch) } else { score_rows::<P>(config, batch) }
}

fn score_rows<P: Scoring>(config: &P::Config, batch: &Batch) -> Result<Verdicts, String> {
    let columns = P::Input::open(&batch.columns, batch.rows as usize)?;
    let mut answer = Answer::for_rows(batch.rows);
    // The state of a plugin without state is `NoState`, which is empty.
    let mut none = P::State::default();
    for row in 0..batch.rows {
        let input = P::Input::read(columns, row as usize);
        let verdict = P::score(config, &mut none, input).map_err(|why| describe_refusal(row, &why))?;
        answer.push(row, verdict)?;
    }
    Ok(answer.into_verdicts(Blobs { ends: Vec::new(), data: Vec::new() }))
}

fn score_with_state<P: Scoring>(config: &P::Config, batch: &Batch) -> Result<Verdicts, String> {
    let rows = batch.rows as usize;
    if batch.entities.len() != rows {
        return Err(format!("the batch has {rows} rows, but {} of them have an entity", batch.entities.len()));
    }
    let columns = P::Input::open(&batch.columns, rows)?;
    let mut states = state::decode_all::<P::State>(&batch.states)?;
    let mut answer = Answer::for_rows(batch.rows);
    for (row, &entity) in (0..).zip(&batch.entities) {
        let count = states.len();
        let state = states
            .get_mut(entity as usize)
            .ok_or_else(|| format!("row {row} is of entity {entity}, but there are {count} states"))?;
        let input = P::Input::read(columns, row as usize);
        let verdict = P::score(config, state, input).map_err(|why| describe_refusal(row, &why))?;
        answer.push(row, verdict)?;
    }
    Ok(answer.into_verdicts(state::encode_all(&states, batch.states.data.len())?))
}

#[cold]
fn describe_refusal(row: u32, why: &str) -> String {
    format!("row {row}: {why}")
}
