//! The examples of a page: its code blocks, with what they are not run for, if they are not.

use std::path::Path;

/// A code block.
#[derive(Debug)]
pub(crate) struct Block {
    /// What it is written in: `sh`, `yaml`, `json` and others.
    pub(crate) language: String,
    pub(crate) text: String,
    /// The line on which it begins.
    pub(crate) line: usize,
}

/// The blocks of a page that are run. One behind `<!-- not run: WHY -->` is not.
pub(crate) fn blocks(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let mut found = Vec::new();
    let mut open: Option<(Block, bool)> = None;
    let mut is_marked = false;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let block = Block { language: language.to_owned(), text: String::new(), line: number + 1 };
                open = Some((block, std::mem::take(&mut is_marked)));
            }
            (Some(_), Some(_)) => {
                let (block, is_marked) = open.take().unwrap();
                if !is_marked {
                    found.push(block);
                }
            }
            (Some((block, _)), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) if line.starts_with("<!-- not run: ") => {
                assert!(line.trim_end().ends_with("-->"), "{}:{}: the mark does not end", page.display(), number + 1);
                is_marked = true;
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none() && !is_marked, "{}: a block does not end, or a mark has none", page.display());
    found
}
