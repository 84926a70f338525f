package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/metrics"
)

// everything has each metric that an agent can have.
func everything(t *testing.T) *metrics.Metrics {
	t.Helper()
	m := newMetrics(t, busyEngine(), time.Now())
	m.Request("GET /v1/host", metrics.Done, time.Millisecond)
	return m
}

const docs = "../../../docs"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	metricName = regexp.MustCompile(`\bndock_[a-z_]+[a-z]\b`)
	ofBuckets  = regexp.MustCompile(`_seconds_(bucket|sum|count)$`)
	inTable    = regexp.MustCompile("(?m)^\\| `(ndock_[a-z_]+)`")
)

// namedIn returns the metrics that a text names.
func namedIn(text string) []string {
	var all []string
	for _, name := range metricName.FindAllString(text, -1) {
		all = append(all, ofBuckets.ReplaceAllString(name, "_seconds"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestWhatIsNamedIsThere: no rule, and no panel, asks for what no agent has.
func TestWhatIsNamedIsThere(t *testing.T) {
	exported := scrape(t, everything(t).Handler()).names()
	for file, least := range map[string]int{"metrics/alerts.yml": 9, "metrics/grafana-dashboard.json": 25, "metrics.md": 25} {
		named := namedIn(read(t, file))
		for _, name := range named {
			if !slices.Contains(exported, name) {
				t.Errorf("%s names %s, which no agent has", file, name)
			}
		}
		if len(named) < least {
			t.Errorf("%s names only %q", file, named)
		}
	}
	var listed []string
	for _, match := range inTable.FindAllStringSubmatch(read(t, "metrics.md"), -1) {
		listed = append(listed, match[1])
	}
	if slices.Sort(listed); !slices.Equal(listed, exported) {
		t.Errorf("docs/metrics.md lists\n%q, and there are\n%q", listed, exported)
	}
}

// dashboard is as much of Grafana's format as is checked.
type dashboard struct {
	UID           string
	SchemaVersion int
	Panels        []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var found dashboard
	if err := json.Unmarshal([]byte(read(t, "metrics/grafana-dashboard.json")), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDashboard is one in which each panel asks something, and no two lie over each other.
func TestDashboard(t *testing.T) {
	found := readDashboard(t)
	taken := map[[2]int]string{}
	for _, panel := range found.Panels {
		if (panel.Type == "row") != (len(panel.Targets) == 0) || panel.Title == "" {
			t.Errorf("panel %d %q asks %q", panel.ID, panel.Title, panel.Targets)
		}
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies over %q, or beside the page", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
	}
	if len(found.Panels) < 20 || found.UID == "" || found.SchemaVersion == 0 {
		t.Errorf("got %+v", found)
	}
}

// promtool runs Prometheus' own tool, which has nothing to say about what is right. 'make metrics-test' names it.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	program := os.Getenv("NDOCK_PROMTOOL")
	if program == "" {
		t.Skip("NDOCK_PROMTOOL names no promtool: 'make metrics-test' does")
	}
	check := exec.Command(program, args...)
	check.Stdin = strings.NewReader(stdin)
	if out, err := check.CombinedOutput(); err != nil || stdin != "" && len(out) > 0 {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolOnMetrics(t *testing.T) {
	status, body := agenttest.Ask(t, everything(t).Handler(), "GET", "/metrics", "")
	agenttest.WantOK(t, status, body)
	promtool(t, body, "check", "metrics")
}

func TestPromtoolOnRules(t *testing.T) {
	promtool(t, "", "check", "rules", filepath.Join(docs, "metrics/alerts.yml"))
	promtool(t, "", "test", "rules", "../../../testdata/metrics/alerts_test.yml")
}

// TestPromtoolOnDashboard: what panels ask is read as rules, once Grafana's variables have values.
func TestPromtoolOnDashboard(t *testing.T) {
	rules := "groups:\n- name: dashboard\n  rules:\n"
	values := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$project", ".*")
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			rules += fmt.Sprintf("  - {record: panel_%d, expr: %q}\n", panel.ID, values.Replace(target.Expr))
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}
