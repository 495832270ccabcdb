package conf

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// readSimple reads the TOML that zone files are mostly made of: tables, and keys with a string, a whole number, true or false, or a
// list of strings. It is what makes the start with very many zones fast. At anything else, faults too, it gives up and returns nil:
// then the library reads the file. A fuzz test holds both to the same outcome.
func readSimple(file, text string, report *Report) *Table {
	if !utf8.ValidString(text) {
		return nil
	}
	m := memories.Get().(*memory)
	m.doc.file, m.doc.report, m.doc.memory, m.doc.count = file, report, m, 0
	s := &simple{text: text, line: 1, memory: m}
	root := s.table(Table{doc: &m.doc})
	if !s.read(root) {
		root.Release()
		return nil
	}
	return root
}

// read says whether the whole text could be read.
func (s *simple) read(root *Table) bool {
	table := root
	for {
		s.blank(true)
		switch {
		case s.text == "":
			return true
		case s.text[0] == '[':
			s.text = s.text[1:]
			if table = s.header(root); table == nil {
				return false
			}
		default:
			if !s.pair(table) {
				return false
			}
		}
		if s.blank(false); s.text != "" && s.text[0] != '\n' {
			return false
		}
	}
}

// simple is how far the reading has come.
type simple struct {
	text  string // what is left
	line  int
	begin int // where the entries of the table begin that is being read
	*memory
}

// memory is what a document is made of: a few pieces for most files, which the next file may have.
type memory struct {
	doc     document
	entries []entry // of all tables
	items   []Item  // of all lists
	lists   []list
	tables  []Table
	names   []string
}

var memories = sync.Pool{New: func() any {
	return &memory{entries: make([]entry, 0, 64), items: make([]Item, 0, 32), lists: make([]list, 0, 32), tables: make([]Table, 0, 8)}
}}

// mostKept is the largest memory, in elements, that is kept for other files.
const mostKept = 1000

// Release ends the use of a whole document: no table of it, nor an item, may be used any more.
func (t *Table) Release() {
	m := t.doc.memory
	if m == nil || max(len(m.entries), len(m.items), len(m.lists), len(m.tables), len(m.names)) > mostKept {
		return
	}
	m.doc.memory = nil
	m.entries, m.items, m.lists, m.tables, m.names = m.entries[:0], m.items[:0], m.lists[:0], m.tables[:0], m.names[:0]
	memories.Put(m)
}

// keys is memory for so many keys. No memory takes it from the heap, as in all of these.
func (m *memory) keys(n int) []string {
	if m == nil {
		return make([]string, n)
	}
	first := len(m.names)
	m.names = slices.Grow(m.names, n)[:first+n]
	return m.names[first : first+n : first+n]
}

// table keeps a table.
func (m *memory) table(t Table) *Table {
	if m == nil {
		own := t
		return &own
	}
	if len(m.tables) == cap(m.tables) {
		m.tables = make([]Table, 0, 8) // those before are pointed to
	}
	m.tables = append(m.tables, t)
	return &m.tables[len(m.tables)-1]
}

// blank passes over spaces and a comment, and where newlines may stand over those too.
func (s *simple) blank(newlines bool) {
	for s.text != "" {
		switch c := s.text[0]; {
		case c == ' ' || c == '\t':
		case c == '\n' && newlines:
			s.line++
		case c == '#':
			n := 0
			for n < len(s.text) && (s.text[n] >= ' ' && s.text[n] != 0x7f || s.text[n] == '\t') {
				n++
			}
			s.text = s.text[n:]
			continue
		default:
			return
		}
		s.text = s.text[1:]
	}
}

// header reads a table's header, behind its bracket. A table that is there already, in whatever way, is left to the library.
func (s *simple) header(root *Table) *Table {
	t := root
	for {
		s.blanks()
		key, ok := s.key()
		if !ok {
			return nil
		}
		s.blanks()
		if s.text == "" {
			return nil
		}
		end := s.text[0]
		s.text = s.text[1:]
		switch e := t.find(key); {
		case end == ']' && e == nil:
			child := s.table(Table{doc: root.doc, parent: t, key: key, line: s.line})
			s.addTable(t, entry{key: key, line: s.line, value: child})
			return child
		case end == '.' && e != nil:
			if t, ok = e.value.(*Table); !ok {
				return nil
			}
		default:
			return nil
		}
	}
}

// addTable adds a table to the entries of the one above, which are others' neighbours by now. The entries of the new one begin behind.
func (s *simple) addTable(above *Table, e entry) {
	if n := len(above.entries); n == cap(above.entries) {
		first := len(s.entries)
		s.entries = append(s.entries, above.entries...)
		s.entries = slices.Grow(s.entries, n+4)[:first+2*n+4]
		above.entries = s.entries[first : first+n : first+2*n+4]
	}
	above.entries = append(above.entries, e)
	s.begin = len(s.entries)
}

// blanks passes over spaces.
func (s *simple) blanks() {
	n := 0
	for n < len(s.text) && (s.text[n] == ' ' || s.text[n] == '\t') {
		n++
	}
	s.text = s.text[n:]
}

// key reads a bare or a quoted key.
func (s *simple) key() (key string, ok bool) {
	if s.text != "" && (s.text[0] == '"' || s.text[0] == '\'') {
		return s.str()
	}
	n := 0
	for n < len(s.text) && isBare(s.text[n]) {
		n++
	}
	key, s.text = s.text[:n], s.text[n:]
	return key, n > 0
}

func isBare(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// pair reads a key and its value into a table.
func (s *simple) pair(t *Table) bool {
	line := s.line
	key, ok := s.key()
	if s.blanks(); !ok || s.text == "" || s.text[0] != '=' || t.find(key) != nil {
		return false
	}
	s.text = s.text[1:]
	s.blanks()
	e := entry{key: key, line: line}
	if s.text != "" && (s.text[0] == '"' || s.text[0] == '\'') {
		e.text, ok = s.str()
	} else {
		e.value = s.value(t, key)
		ok = e.value != nil
	}
	s.entries = append(s.entries, e)
	t.entries = s.entries[s.begin:len(s.entries):len(s.entries)]
	return ok
}

// value reads the value of a key that is no string, nil where it is not a simple one.
func (s *simple) value(t *Table, key string) any {
	if s.text == "" {
		return nil
	}
	switch c := s.text[0]; {
	case c == '[':
		return s.list(t, key)
	case c == 't' && s.word("true"):
		return true
	case c == 'f' && s.word("false"):
		return false
	case '0' <= c && c <= '9':
		n := 0
		for n < len(s.text) && isBare(s.text[n]) {
			n++
		}
		digits := s.text[:n]
		if digits[0] == '0' && n > 1 || n < len(s.text) && strings.IndexByte(".:+", s.text[n]) >= 0 {
			return nil
		}
		v, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return nil
		}
		s.text = s.text[n:]
		return v
	}
	return nil
}

func (s *simple) word(word string) bool {
	rest, ok := strings.CutPrefix(s.text, word)
	if ok = ok && (rest == "" || !isBare(rest[0])); ok {
		s.text = rest
	}
	return ok
}

// str reads a string of one line without escapes.
func (s *simple) str() (v string, ok bool) {
	quote := s.text[0]
	n := strings.IndexByte(s.text[1:], quote)
	if n < 0 {
		return "", false
	}
	v, s.text = s.text[1:1+n], s.text[n+2:]
	if quote == '"' && strings.IndexByte(v, '\\') >= 0 || !Printable(v) && strings.ContainsFunc(v, isControl) {
		return "", false
	}
	return v, v != "" || s.text == "" || s.text[0] != quote // three quotes begin a string of several lines
}

// isControl says whether a character stands in no string of one line.
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// list reads a list of strings.
func (s *simple) list(t *Table, key string) any {
	begin := len(s.items)
	s.text = s.text[1:]
	for {
		s.blank(true)
		switch {
		case s.text == "":
			return nil
		case s.text[0] == ']':
			s.text = s.text[1:]
			if len(s.lists) == cap(s.lists) {
				s.lists = make([]list, 0, 2*cap(s.lists)) // those before are pointed to
			}
			s.lists = append(s.lists, list{s.items[begin:len(s.items):len(s.items)]})
			return &s.lists[len(s.lists)-1]
		case s.text[0] != '"' && s.text[0] != '\'':
			return nil
		}
		line := s.line
		v, ok := s.str()
		if !ok {
			return nil
		}
		s.items = append(s.items, Item{Text: v, table: t, key: key, index: len(s.items) - begin, line: line})
		if s.blank(true); s.text == "" || s.text[0] != ',' && s.text[0] != ']' {
			return nil
		}
		if s.text[0] == ',' {
			s.text = s.text[1:]
		}
	}
}
