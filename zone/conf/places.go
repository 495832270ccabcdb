package conf

import (
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// places maps each key of a TOML text, and each element of an array, to the line where it stands; the TOML library tells
// places of its own errors only. The text is known to be TOML, so this reads on without a check of its own.
func places(text string) map[string]int {
	s := &scanner{text: text, line: 1, lines: map[string]int{}}
	var table toml.Key
	for {
		s.skip(" \t\r\n", true)
		switch {
		case s.done():
			return s.lines
		case s.text[s.at] == '[':
			s.take("[")
			table = s.key(nil)
			s.lines[table.String()] = s.line
			s.take("]")
		default:
			s.statement(table)
		}
	}
}

// maxDepth is how deep lists and tables may stand in each other: what it costs the TOML library to read them grows with the square, and
// its stack has an end. Files of ours have three.
const maxDepth = 8

// tooDeep is the line of a text, which need not be TOML, where lists and tables stand in each other too deep; 0: nowhere.
func tooDeep(text string) (line int) {
	s := &scanner{text: text, line: 1}
	open, dots := 0, 0 // brackets that are open, and dots of the present key
	for !s.done() {
		switch c := s.text[s.at]; c {
		case '"', '\'':
			s.str()
			continue
		case '#':
			s.skip("", true)
			continue
		case '[', '{':
			open, dots = open+1, 0
		case ']', '}':
			open, dots = max(0, open-1), 0
		case '\n':
			s.line++
			dots = 0
		case ',', '=':
			dots = 0
		case '.':
			dots++
		}
		if open > maxDepth || dots > maxDepth {
			return s.line
		}
		s.at++
	}
	return 0
}

type scanner struct {
	text     string
	at, line int
	lines    map[string]int
}

func (s *scanner) done() bool { return s.at >= len(s.text) }

// skip passes over these characters, and over comments where they may stand.
func (s *scanner) skip(chars string, comments bool) {
	for !s.done() {
		switch c := s.text[s.at]; {
		case comments && c == '#':
			for !s.done() && s.text[s.at] != '\n' {
				s.at++
			}
		case strings.IndexByte(chars, c) < 0:
			return
		default:
			if c == '\n' {
				s.line++
			}
			s.at++
		}
	}
}

func (s *scanner) take(chars string) { s.skip(chars+" \t", false) }

// key reads a dotted key and appends its parts.
func (s *scanner) key(to toml.Key) toml.Key {
	to = append(toml.Key(nil), to...)
	for {
		s.take("")
		begin := s.at
		if !s.done() && (s.text[s.at] == '"' || s.text[s.at] == '\'') {
			s.str()
			to = append(to, unquote(s.text[begin:s.at]))
		} else {
			for !s.done() && !strings.ContainsRune(" \t.=]\r\n", rune(s.text[s.at])) {
				s.at++
			}
			to = append(to, s.text[begin:s.at])
		}
		s.take("")
		if s.done() || s.text[s.at] != '.' {
			return to
		}
		s.at++
	}
}

// unquote gives a quoted key its value, by the library's own rules.
func unquote(quoted string) string {
	var v struct{ K string }
	if _, err := toml.Decode("K = "+quoted, &v); err != nil {
		return quoted
	}
	return v.K
}

// statement reads key = value.
func (s *scanner) statement(table toml.Key) {
	if c := s.text[s.at]; c == '=' || c == ']' {
		s.at++ // cannot be in a valid text: never stand still
		return
	}
	line := s.line
	key := s.key(table)
	for n := len(table) + 1; n <= len(key); n++ {
		s.lines[key[:n].String()] = line
	}
	s.take("=")
	s.value(key, key.String())
}

// value reads one value; name is what its array elements are called by.
func (s *scanner) value(key toml.Key, name string) {
	if s.done() {
		return
	}
	switch s.text[s.at] {
	case '"', '\'':
		s.str()
	case '[':
		s.at++
		for i := 0; ; i++ {
			s.skip(" \t\r\n,", true)
			if s.done() || s.text[s.at] == ']' {
				break
			}
			element := name + "[" + strconv.Itoa(i) + "]"
			s.lines[element] = s.line
			before := s.at
			s.value(key, element)
			if s.at == before {
				s.at++
			}
		}
		s.at++
	case '{':
		s.at++
		for {
			s.skip(" \t\r\n,", true)
			if s.done() || s.text[s.at] == '}' {
				break
			}
			s.statement(key)
		}
		s.at++
	default:
		for !s.done() && !strings.ContainsRune(",]}#\r\n", rune(s.text[s.at])) {
			s.at++
		}
	}
}

// str passes over a string of any of TOML's four kinds.
func (s *scanner) str() {
	quote := s.text[s.at : s.at+1]
	end := quote
	if strings.HasPrefix(s.text[s.at:], strings.Repeat(quote, 3)) {
		end = strings.Repeat(quote, 3)
	}
	s.at += len(end)
	for !s.done() && !strings.HasPrefix(s.text[s.at:], end) {
		if s.text[s.at] == '\n' {
			s.line++
		}
		if quote == `"` && s.text[s.at] == '\\' {
			s.at++
		}
		s.at++
	}
	s.at = min(s.at+len(end), len(s.text))
	for len(end) == 3 && !s.done() && s.text[s.at] == quote[0] {
		s.at++ // up to two quotes may stand before the closing three
	}
}
