package load

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnlyALongLoadTellsOfItsProgress(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		want  []string
	}{
		"a short one is silent":      {2 * time.Second, nil},
		"a long one tells how it is": {7 * time.Second, []string{"300 of 700", "600 of 700", "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				p := Progress{
					Every: 3 * time.Second,
					Tell:  func(done, total int) { got = append(got, fmt.Sprintf("%d of %d", done, total)) },
					End:   func() { got = append(got, "end") },
				}
				var done atomic.Int64
				end := p.watch(&done, 700)
				for range c.takes / time.Second {
					time.Sleep(time.Second / 2)
					done.Add(100)
					time.Sleep(time.Second / 2)
				}
				end()
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}
