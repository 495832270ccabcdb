package rr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

// generate makes the records of a $GENERATE, as BIND has it: one for each number of a range, with the number put in place of "$" in
// owner and data.
func (s *source) generate(args []rdata.Word, line int) error {
	first, last, step, err := readRange(args[0].Text)
	if err != nil {
		return &wordError{args[0].Text, err.Error()}
	}
	if s.made += int((last-first)/step) + 1; s.made > maxMade {
		return &wordError{args[0].Text, fmt.Sprintf("$GENERATE makes %d records of a zone at most", maxMade)}
	}
	defer func(owner string) { s.owner = owner }(s.owner) // what follows with a blank goes on with the owner before
	if last := len(args) - 1; args[last].Quoted {
		if _, whole := rdata.TypeOf(args[last-1].Text); whole {
			args[last] = rdata.Word{Text: strings.ReplaceAll(args[last].Text, `\"`, `"`)} // BIND has all of the data between quotes
		}
	}
	for n := first; n <= last; n += step {
		var b strings.Builder
		for i, w := range args[1:] {
			text, err := substitute(w.Text, n)
			if err != nil {
				return &wordError{w.Text, err.Error()}
			}
			if w.Quoted {
				text = `"` + text + `"`
			}
			if i > 0 && !w.Glued {
				b.WriteByte(' ')
			}
			b.WriteString(text)
		}
		var e rdata.Entry
		l := rdata.Lexer{Text: b.String(), Line: line}
		if !l.Next(&e) {
			return errors.New("$GENERATE makes no record")
		}
		e.Line = line
		if e.Words[0].Text != "" && e.Words[0].Text[0] == '$' {
			return errors.New("$GENERATE makes records, and no directives")
		}
		if err := s.entry(&e); err != nil {
			return err // the others are no better
		}
	}
	return nil
}

// maxNumber is the largest number of a range, as in BIND.
const maxNumber = 1<<31 - 1

// readRange reads FIRST-LAST[/STEP].
func readRange(text string) (first, last, step int64, err error) {
	bad := errors.New("not a range: write FIRST-LAST or FIRST-LAST/STEP")
	span, by, stepped := strings.Cut(text, "/")
	from, to, ok := strings.Cut(span, "-")
	step = 1
	for _, n := range []struct {
		text string
		to   *int64
		read bool
	}{{from, &first, true}, {to, &last, true}, {by, &step, stepped}} {
		if !n.read {
			continue
		}
		v, err := strconv.ParseUint(n.text, 10, 31)
		if err != nil {
			return 0, 0, 0, bad
		}
		*n.to = int64(v)
	}
	if !ok || last < first || step < 1 || last > maxNumber {
		return 0, 0, 0, bad
	}
	return first, last, step, nil
}

// substitute puts a number in the place of each "$" and "${OFFSET[,WIDTH[,BASE]]}". A backslash keeps what it stands before; "$$" is "$".
func substitute(text string, n int64) (string, error) {
	var b strings.Builder
	for text != "" {
		switch {
		case text[0] == '\\' && len(text) > 1:
			b.WriteString(text[:2])
			text = text[2:]
			continue
		case strings.HasPrefix(text, "$$"):
			b.WriteString(`\$`)
			text = text[2:]
			continue
		case text[0] != '$':
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		text = text[1:]
		form := ""
		if strings.HasPrefix(text, "{") {
			var ok bool
			if form, text, ok = strings.Cut(text[1:], "}"); !ok {
				return "", errors.New("a brace is not closed")
			}
		}
		number, err := formatted(n, form)
		if err != nil {
			return "", err
		}
		b.WriteString(number)
	}
	return b.String(), nil
}

// formatted writes a number as OFFSET[,WIDTH[,BASE]] says.
func formatted(n int64, form string) (string, error) {
	parts := strings.Split(form, ",")
	bad := fmt.Errorf("${%s}: write ${OFFSET,WIDTH,BASE}, the base d, o, x, X, n or N", form)
	if len(parts) > 3 {
		return "", bad
	}
	if parts[0] != "" {
		offset, err := strconv.ParseInt(parts[0], 10, 32)
		if err != nil {
			return "", bad
		}
		n += offset
	}
	width, base := int64(0), "d"
	if len(parts) > 1 {
		var err error
		if width, err = strconv.ParseInt(parts[1], 10, 32); err != nil || width < 0 || width > dname.MaxName {
			return "", bad
		}
	}
	if len(parts) > 2 {
		base = parts[2]
	}
	if n < 0 {
		return "", fmt.Errorf("${%s}: the number becomes negative", form)
	}
	switch base {
	case "d", "o", "x", "X":
		return fmt.Sprintf("%0*"+base, int(width), n), nil
	case "n":
		return nibbles(n, width, "x"), nil
	case "N":
		return nibbles(n, width, "X"), nil
	}
	return "", bad
}

// nibbles are hexadecimal digits from the lowest on, with dots between them; the width counts those too.
func nibbles(n, width int64, base string) string {
	var b strings.Builder
	for {
		fmt.Fprintf(&b, "%"+base, n&0xf)
		n >>= 4
		if width--; n == 0 && width <= 0 {
			return b.String()
		}
		b.WriteByte('.')
		if width--; n == 0 && width <= 0 {
			return b.String()
		}
	}
}
