package benchservice

import (
	"fmt"
	"slices"
	"strings"
)

// A row is one line of the table.
type row struct {
	work, measured, peer string
	ratio, goal          string
	verdict              string
}

// atLeast returns r with a ratio that is to reach a goal.
func (r row) atLeast(ratio, goal float64) row {
	r.ratio, r.goal = fmt.Sprintf("%.2f", ratio), fmt.Sprintf("at least %g times", goal)
	return r.judge(ratio >= goal)
}

// atMost returns r with a ratio that is not to pass a limit.
func (r row) atMost(ratio, limit float64) row {
	r.ratio, r.goal = fmt.Sprintf("%.2f", ratio), fmt.Sprintf("at most %g", limit)
	return r.judge(ratio <= limit)
}

// under returns r with a number of bytes that is to stay under a limit.
func (r row) under(bytes, limit float64) row {
	r.goal = fmt.Sprintf("under %.0f MB", limit/1e6)
	return r.judge(bytes < limit)
}

func (r row) judge(met bool) row {
	r.verdict = "met"
	if !met {
		r.verdict = "missed"
	}
	return r
}

// table lays rows out in columns.
func table(rows []row) string {
	cells := [][]string{{"work", "measured", "beside it", "ratio", "goal", ""}}
	for _, r := range rows {
		cells = append(cells, []string{r.work, r.measured, r.peer, r.ratio, r.goal, r.verdict})
	}
	var width [6]int
	for _, line := range cells {
		for i, cell := range line {
			width[i] = max(width[i], len(cell))
		}
	}
	var b strings.Builder
	for n, line := range cells {
		for i, cell := range line {
			fmt.Fprintf(&b, "| %-*s ", width[i], cell)
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range width {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
