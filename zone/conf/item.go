package conf

import "strconv"

// Item is a text of the file and where it stands.
type Item struct {
	Text  string
	table *Table
	key   string // of the table
	index int    // in the list that the key holds, or -1
	line  int    // of an element of a list
	other any    // what stands in a list instead of a text
}

// Item makes an item of a key that stands in no list, or that is absent.
func (t *Table) Item(key, text string) Item { return Item{Text: text, table: t, key: key, index: -1} }

// Problem says what is wrong with an item.
func (i Item) Problem(reason string) Problem {
	p := Problem{Text: i.Text, Reason: reason}
	if t := i.table; t != nil {
		if t.secret {
			p.Text = ""
		}
		p.File, p.Line, p.Key = t.doc.file, t.line, t.whole(i.key)
		e := t.find(i.key)
		if e != nil {
			p.Line = e.line
		}
		if i.index >= 0 {
			p.Key += "[" + strconv.Itoa(i.index) + "]"
			p.Line = i.line
		}
	}
	return p
}

// Fault reports what is wrong with an item.
func (i Item) Fault(reason string) { i.table.doc.report.Add(i.Problem(reason)) }

// Warn reports what is doubtful about an item.
func (i Item) Warn(reason string) {
	i.table.doc.report.Warn(func() Problem {
		p := i.Problem(reason)
		p.Warning = true
		return p
	})
}
