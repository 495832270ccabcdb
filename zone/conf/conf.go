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
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"unsafe"

	"github.com/BurntSushi/toml"
)

// Table is a TOML table: its keys in the order of the file, each with its line. Every getter leaves its default alone where the key
// is absent.
type Table struct {
	doc     *document
	parent  *Table // nil of the file's root
	key     string // in parent
	line    int    // 0: not in the file
	entries []entry
	next    int            // which of them is taken next, where they are taken in their order
	index   map[string]int // of the entries; only where they are many
	secret  bool           // no message shows a value
}

// Secret has no message show what the table holds.
func (t *Table) Secret() *Table {
	t.secret = true
	return t
}

// document is what the tables of one file share.
type document struct {
	file   string
	report *Report
	memory *memory // nil where the library has read it

	// The keys that getters have asked for, so that an unknown one can be told from what it may have been meant to be.
	wanted [maxWanted]wanted
	count  int
}

// maxWanted is how many are kept: more than a file of ours has.
const maxWanted = 40

type wanted struct {
	table *Table
	key   string
}

func (t *Table) want(key string) {
	if d := t.doc; d.count < maxWanted {
		d.wanted[d.count] = wanted{t, key}
		d.count++
	}
}

// entry is a key with its value: a string, int64, float64, bool, a time, *list or *Table.
type entry struct {
	key   string
	line  int
	text  string // where the value is a string
	value any    // nil where it is a string: there are very many, and each would be on the heap
	asked bool
}

func (e *entry) isString() bool { return e.value == nil }

// any is the value, whatever it is.
func (e *entry) any() any {
	if e.isString() {
		return e.text
	}
	return e.value
}

// list is the values of a list.
type list struct{ items []Item }

// maxValues bounds what a file holds, for a value may have two octets in the file, and takes some hundred in memory.
const maxValues = 1 << 21

// Parse reads a whole file, whose text nobody may change any more. Where the text is not TOML, that is reported and the result is nil.
func Parse(file string, text []byte, report *Report) *Table {
	if len(text) > maxValues && bytes.Count(text, []byte{','})+bytes.Count(text, []byte{'\n'}) > maxValues {
		report.Add(Problem{File: file, Reason: fmt.Sprintf("more than %d lines and elements of lists", maxValues)})
		return nil
	}
	whole := unsafe.String(unsafe.SliceData(text), len(text))
	if root := readSimple(file, whole, report); root != nil {
		return root
	}
	if line := tooDeep(whole); line > 0 {
		report.Add(Problem{File: file, Line: line, Reason: fmt.Sprintf("lists and tables are nested more than %d deep", maxDepth)})
		return nil
	}
	return readWhole(file, whole, report)
}

// Glimpse is the value of a key whose line stands anywhere in a text, which need not be TOML at the moment.
func Glimpse(text []byte, key string) (value string, ok bool) {
	line := regexp.MustCompile(`(?m)^[ \t]*` + regexp.QuoteMeta(key) + `[ \t]*=[ \t]*["']([^"'\n]*)["']`)
	if m := line.FindSubmatch(text); m != nil {
		return string(m[1]), true
	}
	return "", false
}

// Has says whether the key stands in the file.
func (t *Table) Has(key string) bool {
	t.want(key)
	return t.find(key) != nil
}

// Known marks a key as one that is known, whatever it holds.
func (t *Table) Known(key string) { t.take(key) }

// Keys lists the keys in the order of the file.
func (t *Table) Keys() []string {
	keys := t.doc.memory.keys(len(t.entries))
	for i := range t.entries {
		keys[i] = t.entries[i].key
	}
	return keys
}

// whole is the whole name of a key of this table, as TOML writes it.
func (t *Table) whole(key string) string { return append(t.path(), key).String() }

func (t *Table) path() toml.Key {
	if t.parent == nil {
		return nil
	}
	return append(t.parent.path(), t.key)
}

// String reads a string.
func (t *Table) String(key string, to *string) {
	switch e := t.take(key); {
	case e == nil:
	case e.isString():
		*to = e.text
	default:
		t.wrongType(e, "a string")
	}
}

// Bool reads true or false.
func (t *Table) Bool(key string, to *bool) {
	if v, ok := get[bool](t, key, "true or false"); ok {
		*to = v
	}
}

// Int reads a whole number from low to high.
func (t *Table) Int(key string, low, high int64, to *int64) {
	n, ok := get[int64](t, key, "a whole number")
	switch {
	case !ok:
	case n < low || n > high:
		t.Fault(key, strconv.FormatInt(n, 10), fmt.Sprintf("must be from %d to %d", low, high))
	default:
		*to = n
	}
}

// Seconds reads a time to live or an interval, in seconds: a whole number, or text such as "1h30m".
func (t *Table) Seconds(key string, to *uint32) {
	e := t.take(key)
	if e == nil {
		return
	}
	v, number := e.value.(int64)
	switch {
	case number && (v < 0 || v > maxSeconds):
		t.Fault(key, strconv.FormatInt(v, 10), fmt.Sprintf("must be from 0 to %d seconds", maxSeconds))
	case number:
		*to = uint32(v)
	case e.isString():
		if n, err := ParseSeconds(e.text); err != nil {
			t.Fault(key, e.text, err.Error())
		} else {
			*to = n
		}
	default:
		t.wrongType(e, `seconds or text such as "1h30m"`)
	}
}

// Strings reads a list of strings.
func (t *Table) Strings(key string) []Item {
	l, ok := get[*list](t, key, "a list of strings")
	if !ok {
		return nil
	}
	noText := func(i Item) bool { return i.other != nil }
	if !slices.ContainsFunc(l.items, noText) {
		return l.items
	}
	for _, item := range l.items {
		if noText(item) {
			item.Text = shown(item.other)
			item.Fault(typeName(item.other) + " where a string is wanted")
		}
	}
	return slices.DeleteFunc(slices.Clone(l.items), noText)
}

// Table reads a table; where there is none it is empty.
func (t *Table) Table(key string) *Table {
	if table, ok := get[*Table](t, key, "a table"); ok {
		return table
	}
	line := t.line
	if e := t.find(key); e != nil {
		line = e.line
	}
	return t.doc.memory.table(Table{doc: t.doc, parent: t, key: key, line: line})
}

// Quoted writes the key that the operator meant by the nested tables of an unquoted one with dots.
func (t *Table) Quoted(key string) string {
	whole := key
	for t = t.Table(key); len(t.Keys()) == 1; {
		next := t.Keys()[0]
		whole += "." + next
		if !t.IsTable(next) {
			break
		}
		t = t.Table(next)
	}
	return `"` + whole + `"`
}

// IsTable says whether the key holds a table.
func (t *Table) IsTable(key string) bool {
	e := t.find(key)
	if e == nil {
		return false
	}
	_, ok := e.value.(*Table)
	return ok
}

// IsString says whether the key holds a string.
func (t *Table) IsString(key string) bool {
	e := t.find(key)
	return e != nil && e.isString()
}

// Close reports every key that no getter asked for, and what may have been meant.
func (t *Table) Close() {
	for i := range t.entries {
		if e := &t.entries[i]; !e.asked {
			t.Fault(e.key, "", "unknown key"+t.meant(e.key))
		}
	}
}

// meant is what the operator may have meant by an unknown key: one that is spelled alike, or one of a table above, which ends where this
// one begins.
func (t *Table) meant(key string) string {
	known := t.doc.wanted[:t.doc.count]
	for _, w := range known {
		if w.table == t && alike(key, w.key) {
			return ": did you mean " + w.key + "?"
		}
	}
	for above := t.parent; above != nil; above = above.parent {
		if slices.Contains(known, wanted{above, key}) {
			return ": it belongs above [" + t.path().String() + "]"
		}
	}
	return ""
}

// alike says whether two words differ in one letter, or in two that have changed places.
func alike(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b) < 3 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	return i < len(a) && (a[i+1:] == b[i+1:] || a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:])
}

// Fault reports what is wrong with the value of a key.
func (t *Table) Fault(key, text, reason string) { t.Item(key, text).Fault(reason) }

// Problem is Fault for a report that is made later.
func (t *Table) Problem(key, text, reason string) Problem { return t.Item(key, text).Problem(reason) }

// fewKeys is how many keys are looked through one by one: sooner done than an index.
const fewKeys = 16

func (t *Table) find(key string) *entry {
	if len(t.entries) <= fewKeys {
		for i := range t.entries {
			if t.entries[i].key == key {
				return &t.entries[i]
			}
		}
		return nil
	}
	if t.index == nil {
		t.index = make(map[string]int, 2*len(t.entries))
	}
	for i := len(t.index); i < len(t.entries); i++ { // no key stands twice, so these are the ones that came since
		t.index[t.entries[i].key] = i
	}
	if i, ok := t.index[key]; ok {
		return &t.entries[i]
	}
	return nil
}

// take marks a key as known and returns its entry, nil where it is absent.
func (t *Table) take(key string) *entry {
	t.want(key)
	var e *entry
	if t.next < len(t.entries) && t.entries[t.next].key == key {
		e = &t.entries[t.next]
		t.next++
	} else if e = t.find(key); e == nil {
		return nil
	}
	e.asked = true
	return e
}

// get is the value of a key, which must be of a type, and no string. It is returned, and not put anywhere, or each place of a caller would be
// on the heap.
func get[T any](t *Table, key, want string) (value T, ok bool) {
	e := t.take(key)
	if e == nil {
		return value, false
	}
	if value, ok = e.value.(T); !ok {
		t.wrongType(e, want)
	}
	return value, ok
}

func (t *Table) wrongType(e *entry, want string) {
	t.Fault(e.key, shown(e.any()), typeName(e.any())+" where "+want+" is wanted")
}

// shown is what a message shows of a value.
func shown(v any) string {
	switch v.(type) {
	case string, int64, float64, bool:
		return fmt.Sprint(v)
	}
	return ""
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
	case *list:
		return "a list"
	case *Table:
		return "a table"
	}
	return "a date or time"
}
