//! A Rust file as its tokens: no comment, no string and no test is mistaken for code.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::{Source, Violation};

/// What the rules need to know of a file.
#[derive(Clone, Debug)]
pub struct Code {
    /// Its path, relative to the root.
    pub path: String,
    /// Every path that its code names, tests left out.
    pub mentions: Vec<Mention>,
    /// Its tokens in order, tests left out, each group opened.
    pub tokens: Vec<Token>,
    /// The names of all functions, tests among them.
    pub functions: Vec<String>,
    /// Why it could not be read, if it could not.
    pub unreadable: Option<String>,
}

/// A path such as `std::fs::File`, with the group of a `use` multiplied out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mention {
    /// Its segments.
    pub segments: Vec<String>,
    /// The line it begins in.
    pub line: usize,
}

/// A word or a sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    /// What is written; literals are left empty.
    pub text: String,
    /// Its line.
    pub line: usize,
}

impl Mention {
    /// Whether it names `path` or something below it.
    #[must_use]
    pub fn is_in(&self, path: &str) -> bool {
        let mut found = self.segments.iter().map(String::as_str);
        path.split("::")
            .all(|segment| found.next() == Some(segment))
    }
}

impl Code {
    /// Reads a file.
    #[must_use]
    pub fn of(source: &Source) -> Self {
        let mut code = Self {
            path: source.path.clone(),
            mentions: Vec::new(),
            tokens: Vec::new(),
            functions: Vec::new(),
            unreadable: None,
        };
        match source.text.parse::<TokenStream>() {
            Ok(stream) => {
                let all: Vec<TokenTree> = stream.into_iter().collect();
                functions(&all, &mut code.functions);
                let kept = without_tests(all);
                code.flatten(&kept);
                mentions(&kept, &[], &mut code.mentions);
            }
            Err(error) => code.unreadable = Some(error.to_string()),
        }
        code
    }

    /// A violation at a line of this file.
    pub(super) fn violation(&self, rule: &'static str, line: usize, message: String) -> Violation {
        Violation {
            rule,
            place: format!("{}:{line}", self.path),
            message,
        }
    }

    fn flatten(&mut self, trees: &[TokenTree]) {
        for tree in trees {
            let line = line(tree);
            let mut push = |text: String| self.tokens.push(Token { text, line });
            match tree {
                TokenTree::Ident(ident) => push(ident.to_string()),
                TokenTree::Punct(punct) => push(punct.to_string()),
                TokenTree::Literal(_) => push(String::new()),
                TokenTree::Group(group) => {
                    let (open, close) = signs(group);
                    push(open.to_owned());
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.flatten(&without_tests(inner));
                    self.tokens.push(Token {
                        text: close.to_owned(),
                        line: group.span_close().start().line,
                    });
                }
            }
        }
    }
}

fn signs(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Brace => ("{", "}"),
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

fn line(tree: &TokenTree) -> usize {
    tree.span().start().line
}

fn is_punct(tree: Option<&TokenTree>, sign: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// Leaves out every item that is marked `#[cfg(test)]` or `#[test]`.
fn without_tests(trees: Vec<TokenTree>) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut trees = trees.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let marks_test = is_punct(Some(&tree), '#')
            && matches!(trees.peek(), Some(TokenTree::Group(attribute)) if is_test(attribute));
        if !marks_test {
            kept.push(tree);
            continue;
        }
        // The item ends with its body or its semicolon.
        trees.next();
        for rest in trees.by_ref() {
            let body = matches!(&rest, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
            if body || is_punct(Some(&rest), ';') {
                break;
            }
        }
    }
    kept
}

fn is_test(attribute: &Group) -> bool {
    let text: String = attribute.stream().to_string();
    matches!(text.replace(' ', "").as_str(), "cfg(test)" | "test")
}

fn functions(trees: &[TokenTree], found: &mut Vec<String>) {
    for (at, tree) in trees.iter().enumerate() {
        match (tree, trees.get(at + 1)) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "fn" => {
                found.push(name.to_string());
            }
            (TokenTree::Group(group), _) => {
                functions(&group.stream().into_iter().collect::<Vec<_>>(), found);
            }
            _ => {}
        }
    }
}

/// Every path among `trees`, each behind `prefix`.
fn mentions(trees: &[TokenTree], prefix: &[String], found: &mut Vec<Mention>) {
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        at += 1;
        match tree {
            TokenTree::Ident(first) => {
                let mut segments = prefix.to_vec();
                segments.push(first.to_string());
                let end;
                (at, end) = rest_of_path(trees, at, &mut segments, found);
                if end == End::Name {
                    let line = line(tree);
                    found.push(Mention { segments, line });
                }
            }
            TokenTree::Group(group) => {
                let inner = without_tests(group.stream().into_iter().collect());
                mentions(&inner, prefix, found);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// How a path ends.
#[derive(PartialEq)]
enum End {
    Name,
    /// With `::{…}`: its mentions are those inside.
    Group,
}

/// Reads `::next` as long as there is one; `::{…}` is multiplied out. Returns where it ends.
fn rest_of_path(
    trees: &[TokenTree],
    mut at: usize,
    segments: &mut Vec<String>,
    found: &mut Vec<Mention>,
) -> (usize, End) {
    while is_punct(trees.get(at), ':') && is_punct(trees.get(at + 1), ':') {
        match trees.get(at + 2) {
            Some(TokenTree::Ident(next)) => segments.push(next.to_string()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => segments.push("*".to_owned()),
            Some(TokenTree::Group(group)) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                mentions(&inner, segments, found);
                return (at + 3, End::Group);
            }
            _ => return (at + 2, End::Name),
        }
        at += 3;
    }
    (at, End::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let source = Source {
            path: "x.rs".to_owned(),
            text: text.to_owned(),
        };
        let code = Code::of(&source);
        assert_eq!(code.unreadable, None);
        let found: Vec<String> = code
            .mentions
            .iter()
            .map(|mention| mention.segments.join("::"))
            .filter(|path| path.contains("::"))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn the_group_of_a_use_is_multiplied_out() {
        let text = "use std::{fs::{self, File}, io as i, time::*};";
        let expected = [
            "std::fs::self",
            "std::fs::File",
            "std::io",
            "std::as",
            "std::i",
            "std::time::*",
        ];
        check(text, &expected);
    }

    #[test]
    fn comments_strings_and_tests_are_not_code() {
        check("// std::fs\n/// std::fs\nfn f() { \"std::fs\"; }", &[]);
        check(
            "#[cfg(test)]\nmod tests { use std::fs; }\nuse a::b;",
            &["a::b"],
        );
        check("mod m { #[cfg(test)] use std::fs; use a::b; }", &["a::b"]);
    }

    #[test]
    fn paths_inside_macros_are_code() {
        check(
            "fn f() { println!(\"{}\", std::env::args()); }",
            &["std::env::args"],
        );
    }
}
