//! The schemas that a stream has had, and how records of each become records of the newest.

use super::{Incompatible, Resolver, Schema};

/// The schemas of a stream, numbered from 0 in the order in which they came. The newest has the highest number.
#[derive(Debug)]
pub struct History {
    /// Of all but the newest; none: the same bytes.
    resolvers: Vec<Option<Resolver>>,
}

/// What a record of some schema is to a reader.
#[derive(Debug)]
pub enum Written<'h> {
    /// A record of the newest schema.
    Now,
    /// It has to be resolved.
    Earlier(&'h Resolver),
    /// It was written in a schema that came after those that are known here.
    Later,
}

impl History {
    /// Compares each earlier schema, the oldest first, with the newest.
    ///
    /// # Errors
    /// The number of the first whose records cannot be read, and why.
    pub fn new(earlier: &[Schema], newest: &Schema) -> Result<Self, (usize, Incompatible)> {
        let resolver = |(number, schema)| Resolver::new(schema, newest).map_err(|why| (number, why));
        Ok(Self { resolvers: earlier.iter().enumerate().map(resolver).collect::<Result<_, _>>()? })
    }

    /// The number of the newest schema.
    pub fn newest(&self) -> u32 {
        // There are far fewer than a u32 counts.
        self.resolvers.len() as u32
    }

    /// How a record that was written in the schema of a number is read.
    pub fn written(&self, number: u32) -> Written<'_> {
        match self.resolvers.get(number as usize) {
            Some(Some(resolver)) => Written::Earlier(resolver),
            Some(None) => Written::Now,
            None if number == self.newest() => Written::Now,
            None => Written::Later,
        }
    }
}
