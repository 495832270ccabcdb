// Package conf reads the operator's TOML files and tells what is wrong with them, every fault in one run and each by its place.
//
// A file is read once into a [Table]; each getter takes one key, checks its type and range, and reports instead of failing, so
// that the caller goes on and finds the next fault too:
//
//	t := conf.Parse("mxtrap.toml", text, &report)
//	server := t.Table("server")
//	server.Int("workers", 0, 1024, &workers) // absent: workers keeps its default
//	server.Close()                           // reports the keys that nobody asked for
package conf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Table is a TOML table with the places of its keys. Every getter leaves its default alone where the key is absent.
type Table struct {
	doc    *document
	path   toml.Key
	values map[string]any
	asked  map[string]bool
}

// document is what the tables of one file share.
type document struct {
	file   string
	lines  map[string]int // by key as [toml.Key.String] writes it, with [i] for the elements of an array
	report *Report
}

// Parse reads a whole file. Where the text is not TOML, that is reported and the result is nil.
func Parse(file string, text []byte, report *Report) *Table {
	values := map[string]any{}
	if _, err := toml.Decode(string(text), &values); err != nil {
		problem := Problem{File: file, Reason: err.Error()}
		var parse toml.ParseError
		if errors.As(err, &parse) {
			problem.Line, problem.Key, problem.Reason = parse.Position.Line, parse.LastKey, parse.Message
		}
		report.Add(problem)
		return nil
	}
	return &Table{
		doc:    &document{file: file, lines: places(string(text)), report: report},
		values: values,
		asked:  map[string]bool{},
	}
}

// Item is one string of a list, with the key that names its place.
type Item struct {
	Text string
	Key  string // such as trap.addresses[1]
}

// Has says whether the key stands in the file.
func (t *Table) Has(key string) bool {
	_, ok := t.values[key]
	return ok
}

// Keys lists the keys in the order of the file.
func (t *Table) Keys() []string {
	keys := make([]string, 0, len(t.values))
	for key := range t.values {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(t.doc.lines[t.Key(a)], t.doc.lines[t.Key(b)]), strings.Compare(a, b))
	})
	return keys
}

// Key is the whole name of a key of this table, as TOML writes it.
func (t *Table) Key(key string) string {
	return append(slices.Clone(t.path), key).String()
}

// String reads a string.
func (t *Table) String(key string, to *string) { get(t, key, "a string", to) }

// Bool reads true or false.
func (t *Table) Bool(key string, to *bool) { get(t, key, "true or false", to) }

// Int reads a whole number from low to high.
func (t *Table) Int(key string, low, high int64, to *int64) {
	var n int64
	if !get(t, key, "a whole number", &n) {
		return
	}
	if n < low || n > high {
		t.Fault(key, strconv.FormatInt(n, 10), fmt.Sprintf("must be from %d to %d", low, high))
		return
	}
	*to = n
}

// Seconds reads a time to live or an interval, in seconds: a whole number, or text such as "1h30m".
func (t *Table) Seconds(key string, to *uint32) {
	switch v := t.take(key).(type) {
	case nil:
	case int64:
		if v < 0 || v > maxSeconds {
			t.Fault(key, strconv.FormatInt(v, 10), fmt.Sprintf("must be from 0 to %d seconds", maxSeconds))
			return
		}
		*to = uint32(v)
	case string:
		n, err := ParseSeconds(v)
		if err != nil {
			t.Fault(key, v, err.Error())
			return
		}
		*to = n
	default:
		t.wrongType(key, v, `seconds or text such as "1h30m"`)
	}
}

// Strings reads a list of strings.
func (t *Table) Strings(key string) []Item {
	var list []any
	if !get(t, key, "a list of strings", &list) {
		return nil
	}
	items := make([]Item, 0, len(list))
	for i, v := range list {
		place := t.Key(key) + "[" + strconv.Itoa(i) + "]"
		if text, ok := v.(string); ok {
			items = append(items, Item{Text: text, Key: place})
		} else {
			t.FaultAt(place, fmt.Sprint(v), typeName(v)+" where a string is wanted")
		}
	}
	return items
}

// Table reads a table; where there is none it is empty.
func (t *Table) Table(key string) *Table {
	var values map[string]any
	get(t, key, "a table", &values)
	return &Table{doc: t.doc, path: append(slices.Clone(t.path), key), values: values, asked: map[string]bool{}}
}

// IsTable says whether the key holds a table.
func (t *Table) IsTable(key string) bool {
	_, ok := t.values[key].(map[string]any)
	return ok
}

// Close reports every key that no getter asked for.
func (t *Table) Close() {
	for _, key := range t.Keys() {
		if !t.asked[key] {
			t.Fault(key, "", "unknown key")
		}
	}
}

// Fault reports what is wrong with the value of a key.
func (t *Table) Fault(key, text, reason string) { t.FaultAt(t.Key(key), text, reason) }

// FaultAt is Fault for a whole key, as [Item] has it.
func (t *Table) FaultAt(key, text, reason string) {
	t.doc.report.Add(t.Problem(key, text, reason))
}

// Problem says where the whole key stands, for a report that is made later.
func (t *Table) Problem(key, text, reason string) Problem {
	return Problem{File: t.doc.file, Line: t.line(key), Key: key, Text: text, Reason: reason}
}

// line is where a whole key stands, or else its table: 0 where neither is in the file.
func (t *Table) line(key string) int {
	if line := t.doc.lines[key]; line > 0 || len(t.path) == 0 {
		return line
	}
	return t.doc.lines[t.path.String()]
}

// take marks a key as known and returns its value, nil where it is absent.
func (t *Table) take(key string) any {
	t.asked[key] = true
	return t.values[key]
}

func get[T any](t *Table, key, want string, to *T) bool {
	v := t.take(key)
	if v == nil {
		return false
	}
	typed, ok := v.(T)
	if !ok {
		t.wrongType(key, v, want)
		return false
	}
	*to = typed
	return true
}

func (t *Table) wrongType(key string, v any, want string) {
	text := ""
	switch v.(type) {
	case string, int64, float64, bool:
		text = fmt.Sprint(v)
	}
	t.Fault(key, text, typeName(v)+" where "+want+" is wanted")
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a fraction"
	case bool:
		return "true or false"
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}
