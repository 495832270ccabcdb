package rdata

import (
	"errors"
	"strings"
)

// Word is a piece of master-file text: what stands between blanks, or between quotes. Escapes are left as they were written.
type Word struct {
	Text   string
	Quoted bool
	Glued  bool // no blank stands before it
}

// words are those behind a record's type.
type words struct {
	list   []Word
	origin string // of relative names, in wire format
}

// next takes the first word.
func (w *words) next() (Word, error) {
	if len(w.list) == 0 {
		return Word{}, errMissing
	}
	first := w.list[0]
	w.list = w.list[1:]
	return first, nil
}

var errMissing = errors.New("missing")

// Lexer cuts master-file text into entries: the words of a line, or of several between parentheses (RFC 1035 5.1).
type Lexer struct {
	Text string
	Line int // that the text which is left begins in
}

// Entry is a record or a directive.
type Entry struct {
	Words   []Word
	Blank   bool // it begins with a blank: the last owner goes on
	Line    int  // where it begins
	Problem string
}

// Next cuts the next entry off that has words or a problem. Words are good until the next call, which uses their memory again.
func (l *Lexer) Next(e *Entry) bool {
	for l.Text != "" {
		l.read(e)
		if len(e.Words) > 0 || e.Problem != "" {
			return true
		}
	}
	return false
}

func (l *Lexer) read(e *Entry) {
	*e = Entry{Words: e.Words[:0], Line: l.Line, Blank: isSpace(l.Text[0])}
	open, depth := 0, 0 // open is the line of the first parenthesis that is open
	i, behind := 0, 0   // behind is where the last word ended
	end := func() { l.Text = l.Text[i:] }
	for i < len(l.Text) {
		switch c := l.Text[i]; {
		case c == '\n':
			i++
			l.Line++
			if depth == 0 {
				end()
				return
			}
		case isSpace(c):
			i++
		case c == ';':
			for i < len(l.Text) && l.Text[i] != '\n' {
				i++
			}
		case c == '(':
			if depth == 0 {
				open = l.Line
			}
			depth++
			i++
		case c == ')':
			if i++; depth == 0 {
				e.fault("a closing parenthesis without an opening one")
				continue
			}
			depth--
		case c == '"':
			n, ok := quotedSize(l.Text[i:])
			if !ok {
				e.fault("the closing quotation mark is missing on this line")
				i += n
				continue
			}
			e.Words = append(e.Words, Word{l.Text[i+1 : i+n-1], true, i > 0 && i == behind})
			l.Line += strings.Count(l.Text[i:i+n], "\n")
			i += n
			behind = i
		default:
			n := wordSize(l.Text[i:])
			e.Words = append(e.Words, Word{Text: l.Text[i : i+n], Glued: i > 0 && i == behind})
			i += n
			behind = i
		}
	}
	if depth > 0 {
		e.Line = open
		e.fault("the parenthesis opened here is never closed; everything after it is ignored")
	}
	end()
}

// fault keeps the first.
func (e *Entry) fault(problem string) {
	if e.Problem == "" {
		e.Problem = problem
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
