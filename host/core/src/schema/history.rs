//! The schemas that a stream has had, with the resolvers to the newest.

use super::{Incompatible, Resolver, Schema};

/// The schemas of a stream, numbered from 0 in the order in which they came. The newest has the highest number.
#[derive(Debug)]
pub struct History {
    /// One per earlier schema; none where its records already are records of the newest.
    resolvers: Vec<Option<Resolver>>,
}

/// The way to read a record of some schema number.
#[derive(Debug)]
pub enum Written<'h> {
    /// It already is a record of the newest schema.
    Now,
    /// It has to be resolved.
    Earlier(&'h Resolver),
    /// Its schema is newer than all that are known here.
    Later,
}

impl History {
    /// Compares each earlier schema, the oldest first, with the newest.
    ///
    /// # Errors
    /// The number of the first schema whose records cannot be read, and the reason.
    pub fn new(earlier: &[Schema], newest: &Schema) -> Result<Self, (usize, Incompatible)> {
        let resolver = |(number, schema)| Resolver::new(schema, newest).map_err(|why| (number, why));
        Ok(Self { resolvers: earlier.iter().enumerate().map(resolver).collect::<Result<_, _>>()? })
    }

    /// The number of the newest schema.
    pub fn newest(&self) -> u32 {
        // The number of earlier schemas is limited to far less than a u32 can count.
        self.resolvers.len() as u32
    }

    /// The way to read a record of the schema with a number.
    pub fn written(&self, number: u32) -> Written<'_> {
        match self.resolvers.get(number as usize) {
            Some(Some(resolver)) => Written::Earlier(resolver),
            Some(None) => Written::Now,
            None if number == self.newest() => Written::Now,
            None => Written::Later,
        }
    }
}
