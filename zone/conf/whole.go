package conf

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// readWhole reads any TOML, by the library.
func readWhole(file, text string, report *Report) *Table {
	values := map[string]any{}
	if _, err := toml.Decode(text, &values); err != nil {
		problem := Problem{File: file, Reason: err.Error()}
		var parse toml.ParseError
		if errors.As(err, &parse) {
			problem.Line, problem.Key, problem.Reason = parse.Position.Line, parse.LastKey, parse.Message
			if parse.Message == "strings cannot contain newlines" {
				problem.Reason = "a quotation mark is missing: the string does not end in its line"
			}
		}
		report.Add(problem)
		return nil
	}
	t := &Table{doc: &document{file: file, report: report}}
	t.fill(values, places(text))
	return t
}

// fill takes the library's values in, with the lines where they stand.
func (t *Table) fill(values map[string]any, lines map[string]int) {
	for key, v := range values {
		name := t.whole(key)
		e := entry{key: key, line: lines[name]}
		switch v := v.(type) {
		case map[string]any:
			e.value = t.filled(key, e.line, v, lines)
		case []map[string]any:
			tables := make([]any, len(v))
			for i := range v {
				tables[i] = v[i]
			}
			e.value = t.list(e, tables, lines)
		case []any:
			e.value = t.list(e, v, lines)
		case string:
			e.text = v
		default:
			e.value = v
		}
		t.entries = append(t.entries, e)
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.line, b.line), strings.Compare(a.key, b.key)) })
}

func (t *Table) filled(key string, line int, values map[string]any, lines map[string]int) *Table {
	child := &Table{doc: t.doc, parent: t, key: key, line: line}
	child.fill(values, lines)
	return child
}

// list is the values of a list. What is in a list within the list nobody asks for.
func (t *Table) list(e entry, values []any, lines map[string]int) *list {
	l := &list{make([]Item, len(values))}
	name := t.whole(e.key)
	for i, v := range values {
		item := Item{table: t, key: e.key, index: i, line: cmp.Or(lines[name+"["+strconv.Itoa(i)+"]"], e.line), other: v}
		switch v := v.(type) {
		case string:
			item.Text, item.other = v, nil
		case map[string]any:
			item.other = &Table{}
		case []any:
			item.other = &list{}
		}
		l.items[i] = item
	}
	return l
}
