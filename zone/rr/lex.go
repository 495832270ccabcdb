package rr

import (
	"errors"
	"strings"
)

// word is a piece of master-file text: what stands between blanks, or between quotes. Escapes are left as they were written.
type word struct {
	text   string
	quoted bool
	glued  bool // no blank stands before it
}

// words are those behind a record's type.
type words struct {
	list   []word
	origin string // of relative names, in wire format
}

// next takes the first word.
func (w *words) next() (word, error) {
	if len(w.list) == 0 {
		return word{}, errMissing
	}
	first := w.list[0]
	w.list = w.list[1:]
	return first, nil
}

var errMissing = errors.New("missing")

// lexer cuts master-file text into entries: the words of a line, or of several between parentheses (RFC 1035 5.1).
type lexer struct {
	text string
	line int // that the text which is left begins in
}

// entry is a record or a directive.
type entry struct {
	words   []word
	blank   bool // it begins with a blank: the last owner goes on
	line    int  // where it begins
	problem string
}

// next cuts the next entry off that has words or a problem. Words are good until the next call, which uses their memory again.
func (l *lexer) next(e *entry) bool {
	for l.text != "" {
		l.read(e)
		if len(e.words) > 0 || e.problem != "" {
			return true
		}
	}
	return false
}

func (l *lexer) read(e *entry) {
	*e = entry{words: e.words[:0], line: l.line, blank: isSpace(l.text[0])}
	open, depth := 0, 0 // open is the line of the first parenthesis that is open
	i, behind := 0, 0   // behind is where the last word ended
	end := func() { l.text = l.text[i:] }
	for i < len(l.text) {
		switch c := l.text[i]; {
		case c == '\n':
			i++
			l.line++
			if depth == 0 {
				end()
				return
			}
		case isSpace(c):
			i++
		case c == ';':
			for i < len(l.text) && l.text[i] != '\n' {
				i++
			}
		case c == '(':
			if depth == 0 {
				open = l.line
			}
			depth++
			i++
		case c == ')':
			if i++; depth == 0 {
				e.fault("a closing parenthesis that none opened")
				continue
			}
			depth--
		case c == '"':
			n, ok := quotedSize(l.text[i:])
			if !ok {
				e.fault("a quotation mark is missing: the text ends with the line")
				i += n
				continue
			}
			e.words = append(e.words, word{l.text[i+1 : i+n-1], true, i > 0 && i == behind})
			l.line += strings.Count(l.text[i:i+n], "\n")
			i += n
			behind = i
		default:
			n := wordSize(l.text[i:])
			e.words = append(e.words, word{text: l.text[i : i+n], glued: i > 0 && i == behind})
			i += n
			behind = i
		}
	}
	if depth > 0 {
		e.line = open
		e.fault("the parenthesis that opens here is not closed: everything behind it is lost")
	}
	end()
}

// fault keeps the first.
func (e *entry) fault(problem string) {
	if e.problem == "" {
		e.problem = problem
	}
}

// quotedSize is how long a quoted word is, quotes included; it is not ok where the line ends first.
func quotedSize(text string) (n int, ok bool) {
	for n = 1; n < len(text) && text[n] != '\n'; n++ {
		switch text[n] {
		case '"':
			return n + 1, true
		case '\\':
			n++ // what stands behind it, a newline too
		}
	}
	return min(n, len(text)), false
}

// wordSize is how long a plain word is.
func wordSize(text string) (n int) {
	for n < len(text) {
		switch c := text[n]; {
		case c == '\n', isSpace(c), c == ';', c == '(', c == ')', c == '"':
			return n
		case c == '\\' && n+1 < len(text) && text[n+1] != '\n':
			n++
		}
		n++
	}
	return n
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' }
