//! Views: aggregates of a stream's events by entity.

use assay_core::view::ViewDef;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::filters::{contains, is};
use super::resource::{Filter, Resource};

/// Which views are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ViewFilter {
    /// Only those whose name has this in it.
    #[param(example = "card")]
    name: Option<String>,
    /// Only those of this stream.
    #[param(example = "payments")]
    stream: Option<String>,
}

impl Filter<ViewDef> for ViewFilter {
    fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    fn takes(&self, def: &ViewDef) -> bool {
        contains(&def.view, &self.name) && is(&def.stream, &self.stream)
    }
}

impl Resource for ViewDef {
    type Filter = ViewFilter;

    const EXAMPLE_NAME: &'static str = "card_spend";

    fn example() -> Value {
        let measures = json!({"payments": "count()", "spent": "sum(amount)"});
        json!({"view": "card_spend", "stream": "payments", "by": ["card"], "measures": measures, "over": "1h"})
    }
}
