package metrics_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/imagecache"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/metrics"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/runtimes"
	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
)

// stats are of a server that has used a bit of everything.
const stats = `{"cpu_stats":{"cpu_usage":{"total_usage":2500000000}},"memory_stats":{"usage":1048576,"limit":67108864},"pids_stats":{"current":4},
	"blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":4096},{"op":"Write","value":8192}]}}`

// newMetrics are those of an agent over this engine.
func newMetrics(t *testing.T, docker engine.Docker, failed time.Time) *metrics.Metrics {
	t.Helper()
	return newMetricsWith(t, docker, failed, agenttest.Quiet())
}

func newMetricsWith(t *testing.T, docker engine.Docker, failed time.Time, log *slog.Logger) *metrics.Metrics {
	t.Helper()
	docker, state := engine.WithDeadlines(docker), filepath.Join(t.TempDir(), "servers")
	operators := config.Default()
	return metrics.New(metrics.Sources{
		Version: "1.0", Engine: docker,
		Instances: instance.New(docker, instance.Options{
			State: state, Choices: t.TempDir(), Runtimes: runtimes.New(operators), Config: operators,
		}, agenttest.Quiet()),
		Images:      imagecache.New(docker, t.TempDir(), operators, diskspace.New(1<<30), agenttest.Quiet()),
		LastFailure: func() time.Time { return failed },
	}, log)
}

// families are metrics by name.
type families map[string]*dto.MetricFamily

// scrape asks as Prometheus does.
func scrape(t *testing.T, handler http.Handler) families {
	t.Helper()
	status, body := agenttest.Ask(t, handler, "GET", "/metrics", "")
	agenttest.WantOK(t, status, body)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// labelsOf are the labels of one value.
func labelsOf(metric *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, one := range metric.Label {
		labels[one.GetName()] = one.GetValue()
	}
	return labels
}

// value returns the value with these labels, each a name and what it is, and whether it is there.
func (f families) value(name string, labels ...string) (float64, bool) {
	for _, metric := range f[name].GetMetric() {
		found := labelsOf(metric)
		matches := true
		for i := 0; i < len(labels); i += 2 {
			matches = matches && found[labels[i]] == labels[i+1]
		}
		if matches {
			return metric.GetGauge().GetValue() + metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount()), true
		}
	}
	return 0, false
}

func (f families) want(t *testing.T, want float64, name string, labels ...string) {
	t.Helper()
	if got, found := f.value(name, labels...); !found || got != want {
		t.Errorf("%s%q is %v (there: %t), want %v", name, labels, got, found, want)
	}
}

func (f families) wantNone(t *testing.T, name string) {
	t.Helper()
	if got := f[name]; got != nil {
		t.Errorf("there is %v", got)
	}
}

// uuidOf is the id of one of many servers.
func uuidOf(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func put(docker *enginetest.Engine, uuid, name string, status container.ContainerState) {
	docker.Put(naming.Container(uuid), map[string]string{naming.LabelServer: uuid, naming.LabelName: name, naming.LabelProject: "a-project"}, status)
}

// busyEngine has servers in all states, an image, and things that were left behind.
func busyEngine() *enginetest.Engine {
	docker := enginetest.New()
	docker.Stats = stats
	put(docker, uuidOf(1), "web", container.StateRunning)
	put(docker, uuidOf(2), "db", container.StatePaused)
	put(docker, uuidOf(3), "off", container.StateExited)
	docker.Put("ndock-registry", nil, container.StateRunning)
	docker.Put(naming.Backup(uuidOf(9)), map[string]string{naming.LabelServer: uuidOf(9)}, container.StateExited)
	docker.Images[naming.ImageTag(enginetest.ImageID)] = image.InspectResponse{ID: enginetest.Loaded, Size: 4242}
	docker.Images["busybox:1"] = image.InspectResponse{ID: enginetest.Cached, Size: 17}
	return docker
}

func TestMetrics(t *testing.T) {
	failed := time.Unix(1_700_000_000, 0)
	m := newMetrics(t, busyEngine(), failed)
	m.Request("POST /v1/instances/{uuid}/start", metrics.Done, 20*time.Millisecond)
	m.Request("POST /v1/instances/{uuid}/start", metrics.Failed, time.Minute)
	got := scrape(t, m.Handler())
	for state, count := range map[string]float64{"running": 1, "paused": 1, "stopped": 1, "crashed": 0} {
		got.want(t, count, "ndock_servers", "state", state)
	}
	web := []string{"uuid", uuidOf(1), "project", "a-project", "name", "web"}
	got.want(t, 2.5, "ndock_server_cpu_seconds_total", web...)
	got.want(t, 1<<20, "ndock_server_memory_used_bytes", web...)
	got.want(t, 64<<20, "ndock_server_memory_limit_bytes", web...)
	got.want(t, 4, "ndock_server_processes", web...)
	got.want(t, 4096, "ndock_server_block_read_bytes_total", web...)
	got.want(t, 8192, "ndock_server_block_written_bytes_total", web...)
	got.want(t, 0, "ndock_server_network_receive_drops_total", web...)
	got.want(t, 2.5, "ndock_server_cpu_seconds_total", "uuid", uuidOf(2), "name", "db")
	if _, found := got.value("ndock_server_cpu_seconds_total", "uuid", uuidOf(3)); found {
		t.Error("a server that is off uses something")
	}
	got.want(t, 1, "ndock_agent_request_duration_seconds", "verb", "POST /v1/instances/{uuid}/start", "outcome", "done")
	got.want(t, 1, "ndock_agent_request_duration_seconds", "verb", "POST /v1/instances/{uuid}/start", "outcome", "failed")
	got.want(t, 1, "ndock_engine_up")
	got.want(t, 1, "ndock_engine_info", "version", "20.10.24+dfsg1", "api", "1.41")
	got.want(t, 1, "ndock_build_info", "version", "1.0")
	got.want(t, 1, "ndock_cached_images")
	got.want(t, 4242, "ndock_cached_images_bytes")
	got.want(t, 4, "ndock_orphans", "kind", "container", "sure", "false") // no server of busyEngine's has a directory
	got.want(t, 0, "ndock_orphans", "kind", "port", "sure", "true")
	got.want(t, float64(failed.Unix()), "ndock_agent_last_failure_timestamp_seconds")
	for _, part := range []string{"engine", "disk", "servers", "images", "orphans", "ports", "failure"} {
		got.want(t, 1, "ndock_scrape_success", "part", part)
	}
	if size, _ := got.value("ndock_disk_size_bytes"); size <= 0 {
		t.Errorf("the disk has %v bytes", size)
	}
	scrape(t, newMetrics(t, enginetest.New(), time.Time{}).Handler()).wantNone(t, "ndock_agent_last_failure_timestamp_seconds")
}

// TestNamesOfTenants: whatever a server is called, all other metrics are there, and its own are of bounded size.
func TestNamesOfTenants(t *testing.T) {
	docker := enginetest.New()
	docker.Stats = stats
	names := []string{
		"a\"} 1\nndock_engine_up 0\n", "\\", "\xff\xfe", "\x00\x1b[31m", strings.Repeat("x", 1<<20), strings.Repeat("😀", 1000),
		"é" + strings.Repeat("\xa9", 4000), "", "{}", "web # HELP",
	}
	for n, name := range names {
		put(docker, uuidOf(n), name, container.StateRunning)
	}
	got := scrape(t, newMetrics(t, docker, time.Time{}).Handler())
	got.want(t, 1, "ndock_engine_up")
	got.want(t, 1, "ndock_scrape_success", "part", "servers")
	for n, name := range names {
		for _, metric := range got["ndock_server_cpu_seconds_total"].GetMetric() {
			shown := labelsOf(metric)
			if label := shown["name"]; shown["uuid"] == uuidOf(n) && (len(label) > 512 || !utf8.ValidString(label) || strings.ContainsAny(label, "\x00\n\x1b")) {
				t.Errorf("%.40q is shown as %q", name, label)
			}
		}
		got.want(t, 2.5, "ndock_server_cpu_seconds_total", "uuid", uuidOf(n))
	}
}

// measuring counts how many servers are measured at a time.
type measuring struct {
	*enginetest.Engine
	now, most atomic.Int32
}

func (m *measuring) ContainerStatsOneShot(ctx context.Context, id string) (container.StatsResponseReader, error) {
	now := m.now.Add(1)
	defer m.now.Add(-1)
	for most := m.most.Load(); now > most && !m.most.CompareAndSwap(most, now); most = m.most.Load() {
	}
	return m.Engine.ContainerStatsOneShot(ctx, id)
}

// TestManyServers: there are bounds to what is shown and to what is asked at once, and each scrape shows the same servers.
func TestManyServers(t *testing.T) {
	docker := &measuring{Engine: enginetest.New()}
	docker.Stats = stats
	for n := range 5000 {
		uuid := uuidOf(n)
		docker.Containers[naming.Container(uuid)] = container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{ID: fmt.Sprintf("%064d", n), State: &container.State{Status: container.StateRunning, Running: true}},
			Config:            &container.Config{Labels: map[string]string{naming.LabelServer: uuid}},
		}
	}
	handler := newMetrics(t, docker, time.Time{}).Handler()
	first := scrape(t, handler)
	first.want(t, 5000, "ndock_servers", "state", "running")
	first.want(t, 5000-1024, "ndock_scrape_servers_omitted")
	first.want(t, 0, "ndock_scrape_servers_unmeasured")
	shown := shownServers(first)
	if len(shown) != 1024 || !maps.Equal(shown, shownServers(scrape(t, handler))) {
		t.Errorf("%d servers are shown, or others the next time", len(shown))
	}
	if most := docker.most.Load(); most > 8 {
		t.Errorf("%d servers were measured at a time", most)
	}
}

func shownServers(f families) map[string]bool {
	shown := map[string]bool{}
	for _, metric := range f["ndock_server_cpu_seconds_total"].GetMetric() {
		shown[labelsOf(metric)["uuid"]] = true
	}
	return shown
}

// hanging is an engine that answers nothing but lists of containers, and a measurement now and then.
type hanging struct {
	*enginetest.Engine
	measured, asked atomic.Int32
}

func (h *hanging) hang(ctx context.Context) error {
	h.asked.Add(1)
	<-ctx.Done()
	return ctx.Err()
}

func (h *hanging) ServerVersion(ctx context.Context) (types.Version, error) {
	return types.Version{}, h.hang(ctx)
}

func (h *hanging) Info(ctx context.Context) (system.Info, error) { return system.Info{}, h.hang(ctx) }

func (h *hanging) ImageList(ctx context.Context, _ image.ListOptions) ([]image.Summary, error) {
	return nil, h.hang(ctx)
}

func (h *hanging) ContainerStatsOneShot(ctx context.Context, id string) (container.StatsResponseReader, error) {
	if h.measured.Add(1) > 2 {
		return container.StatsResponseReader{}, h.hang(ctx)
	}
	return h.Engine.ContainerStatsOneShot(ctx, id)
}

// TestAnEngineThatHangs: Prometheus hears so before it gives up, with what is known.
func TestAnEngineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docker := &hanging{Engine: enginetest.New()}
		docker.Stats = stats
		for n := range 100 {
			put(docker.Engine, uuidOf(n), "web", container.StateRunning)
		}
		began := time.Now()
		got := scrape(t, newMetrics(t, docker, time.Time{}).Handler())
		if took := time.Since(began); took >= 10*time.Second {
			t.Errorf("it took %s", took)
		}
		got.want(t, 0, "ndock_engine_up")
		got.want(t, 0, "ndock_scrape_success", "part", "servers")
		got.want(t, 0, "ndock_scrape_success", "part", "images")
		got.want(t, 1, "ndock_scrape_success", "part", "failure")
		got.want(t, 100, "ndock_servers", "state", "running")
		got.want(t, 98, "ndock_scrape_servers_unmeasured")
		got.want(t, 0, "ndock_image_loads_total", "outcome", "done")
		if shown := len(shownServers(got)); shown != 2 {
			t.Errorf("%d servers are shown", shown)
		}
	})
}

// TestAnEngineThatIsAway is no reason to be told nothing.
func TestAnEngineThatIsAway(t *testing.T) { synctest.Test(t, testAway) }

func testAway(t *testing.T) {
	docker := busyEngine()
	for _, method := range []string{"ServerVersion", "Info", "ContainerList", "ImageList"} {
		docker.Fail[method] = enginetest.ErrAway
	}
	m := newMetrics(t, docker, time.Time{})
	got := scrape(t, m.Handler())
	got.want(t, 0, "ndock_engine_up")
	got.want(t, 0, "ndock_scrape_success", "part", "servers")
	got.wantNone(t, "ndock_servers") // 0 would be untrue
	got.wantNone(t, "ndock_engine_info")
	got.want(t, 1, "ndock_build_info")
	status, body := agenttest.Ask(t, m.Handler(), "GET", "/healthz", "")
	if status != http.StatusServiceUnavailable || body != "Docker Engine: docker is away\n" {
		t.Errorf("health: %d %s", status, body)
	}
	clear(docker.Fail)
	time.Sleep(kept)
	scrape(t, m.Handler()).want(t, 1, "ndock_engine_up")
	if status, body := agenttest.Ask(t, m.Handler(), "GET", "/healthz", ""); status != http.StatusOK || body != "ok\n" {
		t.Errorf("health: %d %s", status, body)
	}
}

// TestScrapesAtOnce share what is looked at.
func TestScrapesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docker := &hanging{Engine: enginetest.New()}
		handler := newMetrics(t, docker, time.Time{}).Handler()
		done := make(chan families, 3)
		for range 3 {
			go func() { done <- scrape(t, handler) }()
		}
		synctest.Wait()
		if asked := docker.asked.Load(); asked != 4 { // for its version, twice for what it is, and for images
			t.Errorf("the engine was asked %d times", asked)
		}
		for range 3 {
			(<-done).want(t, 0, "ndock_engine_up")
		}
	})
}

// kept is how long an answer is handed out again, as docs/metrics.md says.
const kept = 5 * time.Second

// TestScrapesInALoop: one who asks again and again has the engine asked no more often.
func TestScrapesInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docker := &hanging{Engine: enginetest.New()}
		handler := newMetrics(t, docker, time.Time{}).Handler()
		scrape(t, handler)
		asked := docker.asked.Load()
		for range 100 {
			scrape(t, handler)
			time.Sleep(kept / 200)
		}
		if again := docker.asked.Load() - asked; again != 0 {
			t.Errorf("the engine was asked %d times more", again)
		}
		time.Sleep(kept)
		scrape(t, handler)
		if docker.asked.Load() == asked {
			t.Error("the answer is old")
		}
	})
}

// slow is a client that reads nothing.
type slow struct {
	*httptest.ResponseRecorder
	read chan struct{}
}

func (s slow) Write([]byte) (int, error) {
	<-s.read
	return 0, io.ErrClosedPipe
}

// TestClientsThatReadSlowly, from however many addresses, keep nobody from an answer.
func TestClientsThatReadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, read := newMetrics(t, busyEngine(), time.Time{}).Handler(), make(chan struct{})
		defer close(read)
		for range 100 {
			request := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
			go handler.ServeHTTP(slow{httptest.NewRecorder(), read}, request)
		}
		synctest.Wait()
		scrape(t, handler).want(t, 1, "ndock_engine_up")
	})
}

// TestZipped is the same answer, for one who can read it.
func TestZipped(t *testing.T) {
	handler := newMetrics(t, busyEngine(), time.Time{}).Handler()
	_, plain := agenttest.Ask(t, handler, "GET", "/metrics", "")
	request := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	request.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, request)
	zip, err := gzip.NewReader(w.Body)
	if err != nil || w.Header().Get("Content-Encoding") != "gzip" {
		t.Fatal(w.Header(), err)
	}
	if got, err := io.ReadAll(zip); err != nil || string(got) != plain {
		t.Errorf("got %s (%v), want %s", got, err, plain)
	}
}

// TestAServerThatEndsMeanwhile is no failure of a scrape.
func TestAServerThatEndsMeanwhile(t *testing.T) {
	docker := busyEngine()
	docker.Stats = `{"cpu_stats":{"cpu_usage":{"total_usage":0}}}` // as of a container that is off
	got := scrape(t, newMetrics(t, docker, time.Time{}).Handler())
	got.want(t, 1, "ndock_scrape_success", "part", "servers")
	got.wantNone(t, "ndock_server_cpu_seconds_total")
}

func TestOnlyWhatIsServed(t *testing.T) {
	handler := newMetrics(t, enginetest.New(), time.Time{}).Handler()
	for request, want := range map[string]int{
		"GET /metrics": 200, "HEAD /metrics": 200, "GET /healthz": 200, "POST /metrics": 405, "DELETE /healthz": 405, "GET /": 404, "GET /v1/version": 404, "GET /debug/pprof/": 404,
	} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", request, w.Code, want)
		}
	}
}

// names returns what a scrape has of ndock's own.
func (f families) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(f)), func(name string) bool { return !strings.HasPrefix(name, "ndock_") })
}
