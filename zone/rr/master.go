package rr

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

// Bounds of what a master file may have read.
const (
	maxDepth = 10   // of files that include each other, so that a circle ends
	maxFiles = 1000 // that a zone includes, a file as often as it is named
	maxMade  = 1 << 18
)

// Place is where a record was written.
type Place struct {
	File string
	Line int
}

// Reader reads master files (RFC 1035 5.1, RFC 2308 4 for $TTL).
type Reader struct {
	Apex string // in wire format, in lower case: the first origin
	TTL  uint32 // of records that state none, while no record before them did
	Most int    // records; 0: any number

	Open   func(file string) (text string, err error) // opens what is included
	Record func(Record, Place)
	Fault  func(p Place, text, reason string) (enough bool) // is called for each fault; reading ends when it says so

	byDirective bool // TTL is that of a $TTL

	records, files, made int // so far
}

// errEnough ends the reading.
var errEnough = errors.New("enough")

// Read reads a file's text, and what it includes.
func (r *Reader) Read(file, text string) {
	(&source{Reader: r, file: file, origin: r.Apex}).read(text)
}

// source is a file that is being read.
type source struct {
	*Reader
	file   string
	depth  int
	origin string
	owner  string // of the last record; "": there was none
}

func (s *source) read(text string) error {
	l := rdata.Lexer{Text: strings.TrimPrefix(text, "\ufeff"), Line: 1}
	for e := (rdata.Entry{}); l.Next(&e); {
		var bad *wordError
		err := s.entry(&e)
		switch {
		case err == nil:
		case err == errEnough:
			return err
		case errors.As(err, &bad):
			if s.Fault(Place{s.file, e.Line}, bad.text, bad.reason) {
				return errEnough
			}
		case s.Fault(Place{s.file, e.Line}, "", err.Error()):
			return errEnough
		}
	}
	return nil
}

// wordError is what is wrong with a word.
type wordError struct{ text, reason string }

func (e *wordError) Error() string { return fmt.Sprintf("%q: %s", e.text, e.reason) }

func (s *source) entry(e *rdata.Entry) error {
	if e.Problem != "" {
		return errors.New(e.Problem)
	}
	first := e.Words[0]
	if !e.Blank && !first.Quoted && first.Text[0] == '$' {
		return s.directive(strings.ToUpper(first.Text), e)
	}
	if !e.Blank {
		owner, err := dname.Append(nil, first.Text, s.origin)
		if err != nil {
			return &wordError{first.Text, "the owner is " + err.Error()}
		}
		dname.Lower(owner)
		s.owner = string(owner)
		e.Words = e.Words[1:]
	} else if s.owner == "" {
		return errors.New("it begins with a blank, and there is no owner before it")
	}
	r, stated, err := readRecord(e.Words, s.origin, s.TTL)
	if stated && !s.byDirective {
		s.TTL = r.TTL
	}
	if err != nil {
		return err
	}
	if s.records++; s.Most > 0 && s.records > s.Most {
		s.Fault(Place{s.file, e.Line}, "", fmt.Sprintf("a zone has %d records at most", s.Most))
		return errEnough
	}
	r.Owner = s.owner
	s.Record(r, Place{s.file, e.Line})
	return nil
}

// readRecord reads "[ttl] [class] type data", in which the first two may change places.
func readRecord(list []rdata.Word, origin string, ttl uint32) (r Record, stated bool, err error) {
	r.TTL = ttl
	for class := false; ; list = list[1:] {
		if len(list) == 0 {
			return r, stated, errors.New("no record type; write TYPE and data, such as MX 10 mail")
		}
		text := list[0].Text
		if !stated && text != "" && dname.IsDigit(text[0]) {
			if r.TTL, err = conf.ParseSeconds(text); err != nil {
				return r, false, &wordError{text, "neither a record type nor a TTL: " + err.Error()}
			}
			stated = true
			continue
		}
		if upper := strings.ToUpper(text); !class && (upper == "IN" || upper == "CLASS1") {
			class = true
			continue
		} else if upper == "CH" || upper == "HS" || upper == "CS" || strings.HasPrefix(upper, "CLASS") {
			return r, stated, &wordError{text, "only the class IN is served"}
		}
		break
	}
	typ, ok := rdata.TypeOf(list[0].Text)
	if !ok || list[0].Quoted {
		return r, stated, &wordError{list[0].Text, "neither a record type nor a TTL"}
	}
	r.Type = typ
	if err := rdata.Check(typ, nil); err != nil && rdata.Of(typ) == nil {
		return r, stated, err // no zone holds that type
	}
	if r.Data, err = rdata.Read(typ, list[1:], origin); err == nil {
		err = rdata.Check(typ, r.Data)
	}
	return r, stated, err
}

// ParseRecord reads "[ttl] [class] type data" that stands alone. The Record has no owner yet.
func ParseRecord(text, origin string, ttl uint32) (Record, error) {
	var e rdata.Entry
	l := rdata.Lexer{Text: text}
	if !l.Next(&e) {
		return Record{}, errors.New("no record: write TYPE and data, such as MX 10 mail")
	}
	if e.Problem != "" {
		return Record{}, errors.New(e.Problem)
	}
	r, _, err := readRecord(e.Words, origin, ttl)
	return r, err
}

func (s *source) directive(name string, e *rdata.Entry) error {
	args := e.Words[1:]
	wants := func(least, most int, usage string) error {
		if len(args) < least || len(args) > most {
			return errors.New("write " + usage)
		}
		return nil
	}
	switch name {
	case "$ORIGIN":
		if err := wants(1, 1, "$ORIGIN NAME"); err != nil {
			return err
		}
		return s.setOrigin(args[0].Text)
	case "$TTL":
		if err := wants(1, 1, "$TTL TIME"); err != nil {
			return err
		}
		ttl, err := conf.ParseSeconds(args[0].Text)
		if err != nil {
			return &wordError{args[0].Text, "$TTL: " + err.Error()}
		}
		s.TTL, s.byDirective = ttl, true
		return nil
	case "$INCLUDE":
		if err := wants(1, 2, "$INCLUDE FILE [ORIGIN]"); err != nil {
			return err
		}
		return s.include(args)
	case "$GENERATE":
		if err := wants(4, 1<<16, "$GENERATE FIRST-LAST[/STEP] OWNER [TTL] TYPE DATA"); err != nil {
			return err
		}
		return s.generate(args, e.Line)
	}
	return &wordError{e.Words[0].Text, `not a directive: there are $ORIGIN, $TTL, $INCLUDE and $GENERATE; an owner that begins with "$" is written "\$"`}
}

func (s *source) setOrigin(text string) error {
	origin, err := dname.Append(nil, text, s.origin)
	if err != nil {
		return &wordError{text, "the origin is " + err.Error()}
	}
	dname.Lower(origin)
	s.origin = string(origin)
	return nil
}

// include reads another file in the place of the directive. Origin and last owner are the including file's again behind it.
func (s *source) include(args []rdata.Word) error {
	file := args[0].Text
	inner := source{Reader: s.Reader, file: path.Join(path.Dir(s.file), file), depth: s.depth + 1, origin: s.origin, owner: s.owner}
	if len(args) > 1 {
		if err := inner.setOrigin(args[1].Text); err != nil {
			return err
		}
	}
	if inner.depth > maxDepth {
		return &wordError{file, fmt.Sprintf("files include each other more than %d deep", maxDepth)}
	}
	if s.files++; s.files > maxFiles {
		return &wordError{file, fmt.Sprintf("a zone includes %d files at most", maxFiles)}
	}
	if path.IsAbs(file) || strings.HasPrefix(inner.file, "../") {
		return &wordError{file, "is outside the folder of the zone's master file: $INCLUDE reaches nothing there"}
	}
	text, err := s.Open(inner.file)
	if err != nil {
		return &wordError{file, "cannot be included: " + err.Error()}
	}
	return inner.read(text)
}
