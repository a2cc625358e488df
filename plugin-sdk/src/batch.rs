//! Scores a batch: columns in, the author's function per row, columns out. The same code in Wasm and in native tests.

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
    // A plugin without state has `NoState`, which is nothing.
    let mut none = P::State::default();
    for row in 0..batch.rows {
        let input = P::Input::read(columns, row as usize);
        let verdict = P::score(config, &mut none, input).map_err(|why| refused(row, &why))?;
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
        let verdict = P::score(config, state, input).map_err(|why| refused(row, &why))?;
        answer.push(row, verdict)?;
    }
    Ok(answer.into_verdicts(state::encode_all(&states, batch.states.data.len())?))
}

#[cold]
fn refused(row: u32, why: &str) -> String {
    format!("row {row}: {why}")
}
