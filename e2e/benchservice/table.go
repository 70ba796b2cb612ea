package benchservice

import (
	"fmt"
	"slices"
	"strings"
)

// A row is one line of the table.
type row struct {
	work, measured, peer, ratio, goal string
	missed                            bool
}

// table lays rows out in columns.
func table(rows []row) string {
	cells := [][]string{{"work", "measured", "beside it", "ratio", "goal", ""}}
	for _, r := range rows {
		verdict := "met"
		if r.missed {
			verdict = "missed"
		}
		cells = append(cells, []string{r.work, r.measured, r.peer, r.ratio, r.goal, verdict})
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
