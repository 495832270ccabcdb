package page

import (
	"fmt"
	"time"

	"mxtrap/server/judge"
)

// Chart is a picture, and the same as a table for those who read it otherwise.
type Chart struct {
	ID, Title, Says string
	Width, Height   int
	Bars            []Rect
	Lines           []Line
	Labels          []Label
	Legend          []Key
	Head            []string // of the table
	Rows            [][]string
	Empty           string // why there is nothing to draw; "" where there is
}

// Rect is a bar, a band or a cell, of a class of the style.
type Rect struct {
	X, Y, W, H float64
	Class      string
	Says       string // shown when the pointer rests there
}

// Line is a line through points.
type Line struct{ Points, Class string }

// Label is a text.
type Label struct {
	X, Y   float64
	Text   string
	Anchor string // start, middle or end
}

// Key explains a class.
type Key struct{ Class, Text string }

// The room of a chart.
const (
	width, height = 720, 260
	left, right   = 56.0, 8.0
	top, bottom   = 12.0, 34.0
)

// charts are the seven pictures.
func charts(p *Picture) []*Chart {
	return []*Chart{overTime(p), funnel(p), listings(p), leads(p), fates(p), dialects(p), ages(p)}
}

func newChart(id, title, says string) *Chart {
	return &Chart{ID: id, Title: title, Says: says, Width: width, Height: height}
}

// axis marks the height of the largest value, and of none.
func (c *Chart) axis(most int) {
	c.Labels = append(c.Labels, Label{left - 6, top + 12, fmt.Sprint(most), "end"}, Label{left - 6, height - bottom, "0", "end"})
	c.Lines = append(c.Lines, Line{fmt.Sprintf("%g,%g %g,%g", left, height-bottom, width-right, height-bottom), "axis"})
}

// mostRanks is how many decoys are told apart by their numbers.
const mostRanks = 4

// overTime is who came where, hour by hour, and when not all was well.
func overTime(p *Picture) *Chart {
	c := newChart("time", "Who came, by MX rank", "Sightings at decoys in each hour of the last seven days, by the decoy's rank; visits to real hosts as a line; hours in which not all was known to be well as a band.")
	var byRank [mostRanks][judge.PictureHours]int
	for host, hours := range p.Decoys {
		rank := min(max(p.Ranks[host], 1), mostRanks) - 1
		for h, n := range hours {
			byRank[rank][h] += n
		}
	}
	most, visits, any := 1, 1, false
	for h := range judge.PictureHours {
		sum := 0
		for rank := range byRank {
			sum += byRank[rank][h]
		}
		most, visits = max(most, sum), max(visits, p.Visits[h])
		any = any || sum > 0 || p.Visits[h] > 0
	}
	if !any {
		c.Empty = "Nobody has come to a decoy or a real host in the last seven days, as far as mxtrap has seen."
		return c
	}
	c.axis(most)
	step := (width - left - right) / judge.PictureHours
	room := height - top - bottom
	points := ""
	c.Head = []string{"hour (UTC)", "first decoy", "second", "third", "further ones", "real hosts", "health"}
	for h := range judge.PictureHours {
		x := left + float64(h)*step
		at := time.Unix(p.From+int64(h)*3600, 0).UTC()
		if at.Hour() == 0 {
			c.Labels = append(c.Labels, Label{x, height - 8, at.Format("Jan 2"), "middle"})
			c.Lines = append(c.Lines, Line{fmt.Sprintf("%.1f,%g %.1f,%g", x, top, x, height-bottom), "grid"})
		}
		health := "well"
		if p.Outages[h] {
			health = "not well"
			c.Bars = append(c.Bars, Rect{x, top, step, room, "band", at.Format("Jan 2 15:04") + ": not all was known to be well"})
		}
		y, sum, row := height-bottom, p.Visits[h], []string{at.Format("2006-01-02 15:04")}
		for rank := range byRank {
			n := byRank[rank][h]
			sum += n
			row = append(row, fmt.Sprint(n))
			if n == 0 {
				continue
			}
			tall := room * float64(n) / float64(most)
			y -= tall
			c.Bars = append(c.Bars, Rect{x, y, max(step-0.5, 1), tall, fmt.Sprintf("rank%d", rank+1), fmt.Sprintf("%s: %d at a decoy of rank %d", at.Format("Jan 2 15:04"), n, rank+1)})
		}
		points += fmt.Sprintf("%.1f,%.1f ", x+step/2, height-bottom-room*float64(p.Visits[h])/float64(visits))
		if sum > 0 || p.Outages[h] {
			c.Rows = append(c.Rows, append(row, fmt.Sprint(p.Visits[h]), health))
		}
	}
	c.Lines = append(c.Lines, Line{points, "visits"})
	c.Legend = []Key{{"rank1", "first decoy"}, {"rank2", "second"}, {"rank3", "third"}, {"rank4", "further"}, {"visits", fmt.Sprintf("real hosts (up to %d)", visits)}, {"band", "not all was well"}}
	return c
}

// bars are horizontal ones, with what each stands for.
func bars(c *Chart, what string, names []string, counts []int, class func(i int) string) *Chart {
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	c.Head = []string{what, "count"}
	for i, name := range names {
		c.Rows = append(c.Rows, []string{name, fmt.Sprint(counts[i])})
	}
	if most == 0 {
		c.Empty = "Nothing yet."
		return c
	}
	const begin = 330.0
	each := (height - top) / float64(len(names))
	for i, name := range names {
		y := top + float64(i)*each
		long := (width - begin - 80) * float64(counts[i]) / float64(most)
		c.Labels = append(c.Labels, Label{begin - 8, y + each/2 + 5, name, "end"}, Label{begin + long + 6, y + each/2 + 5, fmt.Sprint(counts[i]), "start"})
		c.Bars = append(c.Bars, Rect{begin, y + 2, max(long, 1), each - 4, class(i), fmt.Sprintf("%s: %d", name, counts[i])})
	}
	return c
}

func plain(int) string { return "rank2" }

func funnel(p *Picture) *Chart {
	c := newChart("funnel", "From a look-up to a listing", "How many came how far, since mxtrap started: look-ups of MX records, of decoys, sessions at decoys by rung, and clients in the list now.")
	var names []string
	var counts []int
	for _, s := range p.Funnel {
		names, counts = append(names, s.Name), append(counts, int(s.Count))
	}
	return bars(c, "step", names, counts, plain)
}

func listings(p *Picture) *Chart {
	c := newChart("listings", "Listed clients by ground", "Clients that are listed, or would be, by what the DNSBL answers and why.")
	var names []string
	var counts []int
	for _, g := range judge.Grades {
		names, counts = append(names, fmt.Sprintf("127.0.0.%d: %s", g, short[g])), append(counts, p.Grades[g])
	}
	return bars(c, "ground", names, counts, func(i int) string { return fmt.Sprintf("rank%d", i+1) })
}

// short are the grounds in few words.
var short = map[judge.Grade]string{judge.NoSMTP: "no SMTP, twice", judge.Passed: "passed the real hosts by", judge.Deaf: "deaf to refusals", judge.Passed2: "passed by, again and again"}

func leads(p *Picture) *Chart {
	c := newChart("leads", "From a decoy to a real host", "How long after a sighting at a decoy somebody around the client first came to a real host. Who came before, or soon, is no spammer for it.")
	return bars(c, "time", judge.LeadNames[:], p.Leads[:], plain)
}

func fates(p *Picture) *Chart {
	c := newChart("fates", "Pardons and doubts", "What became of the clients that were sighted: who is listed, and what keeps the others from it.")
	return bars(c, "fate", judge.FateNames[:], p.Fates[:], func(i int) string {
		if i == 0 {
			return "rank4"
		}
		return "rank1"
	})
}

func ages(p *Picture) *Chart {
	c := newChart("ages", "The age of their MX lists", "How long ago the decoy left the MX set that a client came to and named a recipient. Senders who keep to the DNS have a list as it is now; an old one was bought, or is kept.")
	return bars(c, "age", judge.AgeNames[:], p.Ages[:], func(i int) string {
		if i == len(judge.AgeNames)-1 {
			return "rank1"
		}
		return "rank4"
	})
}

func dialects(p *Picture) *Chart {
	c := newChart("dialects", "Who: HELO and hour", "Sightings by what the client called itself (HELO) and the hour of the day, in UTC. The stronger the colour, the more.")
	most := 0
	for _, hours := range p.Dialects {
		for _, n := range hours {
			most = max(most, n)
		}
	}
	c.Head = []string{"HELO"}
	for h := range 24 {
		c.Head = append(c.Head, fmt.Sprint(h))
	}
	const begin = 260.0
	wide, tall := (width-begin-right)/24, (height-top-bottom)/float64(len(p.Dialects))
	for i, hours := range p.Dialects {
		y := top + float64(i)*tall
		c.Labels = append(c.Labels, Label{begin - 8, y + tall/2 + 4, judge.DialectNames[i], "end"})
		row := []string{judge.DialectNames[i]}
		for h, n := range hours {
			shade := 0
			if n > 0 {
				shade = 1 + 4*n/(most+1)
			}
			c.Bars = append(c.Bars, Rect{begin + float64(h)*wide, y, wide - 1, tall - 1, fmt.Sprintf("shade%d", shade), fmt.Sprintf("%s at %d:00: %d", judge.DialectNames[i], h, n)})
			row = append(row, fmt.Sprint(n))
		}
		c.Rows = append(c.Rows, row)
	}
	for h := 0; h < 24; h += 6 {
		c.Labels = append(c.Labels, Label{begin + (float64(h)+0.5)*wide, height - 8, fmt.Sprintf("%d:00", h), "middle"})
	}
	if most == 0 {
		c.Bars, c.Labels, c.Empty = nil, nil, "Nobody was sighted yet."
	}
	return c
}
