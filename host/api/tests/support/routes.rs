//! Every operation of the OpenAPI document, for tests that must hold for all routes: a new one is among them by itself.

use serde_json::Value;

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: String,
    pub path: String,
    /// Names in the path, in order.
    pub parts: Vec<String>,
    pub query: Vec<QueryParameter>,
    /// Content types of its body; empty: it has none.
    pub bodies: Vec<String>,
    /// The document of it.
    pub json: Value,
}

/// A parameter of the query string.
#[derive(Clone, Debug)]
pub struct QueryParameter {
    pub name: String,
    pub is_required: bool,
    pub schema: Value,
}

/// All operations of the document.
pub fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(assay_api::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "delete"] {
            let Some(json) = item.get(method) else { continue };
            let parameters = || json["parameters"].as_array().into_iter().flatten();
            let query = parameters().filter(|one| one["in"] == "query").map(|one| QueryParameter {
                name: one["name"].as_str().unwrap().to_owned(),
                is_required: one["required"] == true,
                schema: one["schema"].clone(),
            });
            let bodies = json["requestBody"]["content"].as_object();
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                parts: path.split('{').skip(1).map(|part| part.split('}').next().unwrap().to_owned()).collect(),
                query: query.collect(),
                bodies: bodies.into_iter().flat_map(|bodies| bodies.keys().cloned()).collect(),
                json: json.clone(),
            });
        }
    }
    assert!(found.len() > 30, "the document has lost operations");
    found
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with its parts filled in.
    pub fn filled(&self, fill: impl Fn(&str) -> String) -> String {
        self.parts.iter().fold(self.path.clone(), |path, part| path.replace(&format!("{{{part}}}"), &fill(part)))
    }

    /// The query string with all required parameters.
    pub fn required(&self, fill: impl Fn(&QueryParameter) -> String) -> String {
        let required = self.query.iter().filter(|parameter| parameter.is_required);
        let pairs: Vec<String> = required.map(|parameter| format!("{}={}", parameter.name, fill(parameter))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}
