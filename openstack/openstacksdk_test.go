package openstack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"ndock/openstack/clouds/cloudstest"
	"ndock/openstack/internal/openstacktest"
)

// recorder is a cloud that lets everybody in and writes down what it is asked. Each case has a path of its own.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	sent  map[string]string   // the logins, as JSON, by case
	asked map[string][]string // the paths of lists, by case
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{sent: map[string]string{}, asked: map[string][]string{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

var (
	listPath      = regexp.MustCompile(`/(images|servers|networks)(/detail)?$`)
	versionInPath = regexp.MustCompile(`/v\d+(\.\d+)?/*$`)
)

// ServeHTTP answers for all services.
func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	name, path, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/")
	w.Header().Set("X-Subject-Token", "token")
	w.Header().Set("Content-Type", "application/json")
	var answer any
	switch {
	case strings.HasPrefix(path, "moved/"):
		http.Redirect(w, q, r.URL+"/"+name+"/"+strings.TrimPrefix(path, "moved/"), http.StatusMovedPermanently)
		return
	case strings.HasSuffix(path, "v2.0"): // Keystone has lost it
		w.WriteHeader(http.StatusNotFound)
	case strings.HasSuffix(path, "auth/tokens"):
		r.login(name, q)
		if q.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		answer = map[string]any{"token": map[string]any{
			"catalog": r.catalogue(name), "expires_at": "2036-01-02T03:04:05.000000Z", "user": map[string]any{"id": "user-id", "name": "u"},
			"project": map[string]any{"id": "project-id", "name": "p"}, "roles": []any{},
		}}
	case listPath.MatchString(path):
		r.ask(name, path)
		answer = map[string]any{listPath.FindStringSubmatch(path)[1]: []any{}}
	default:
		answer = r.versions(name, path)
	}
	_ = json.NewEncoder(w).Encode(answer) // a client that has gone needs no answer
}

func (r *recorder) login(name string, q *http.Request) {
	var body struct{ Auth any }
	_ = json.NewDecoder(q.Body).Decode(&body) // a token that is asked about is in a header
	sent, _ := json.Marshal(body.Auth)
	if body.Auth == nil {
		sent = []byte("token " + q.Header.Get("X-Subject-Token"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[name] = string(sent)
}

func (r *recorder) ask(name, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.asked[name], path) {
		r.asked[name] = append(r.asked[name], path)
	}
}

// catalogue has two regions, three interfaces and a second Glance of another type and name.
func (r *recorder) catalogue(name string) []any {
	var services []any
	for _, service := range []struct{ kind, name, path string }{{"image", "glance", "image"}, {"image", "mirror", "mirror"}, {"cache", "cache", "cache"}, {"compute", "nova", "compute/v2.1"}, {"network", "neutron", "network"}} {
		var endpoints []any
		for _, region := range []string{"One", "Two"} {
			for _, iface := range []string{"public", "internal", "admin"} {
				url := fmt.Sprintf("%s/%s/%s/%s/%s", r.URL, name, region, iface, service.path)
				endpoints = append(endpoints, map[string]any{"interface": iface, "region": region, "region_id": region, "url": url})
			}
		}
		services = append(services, map[string]any{"type": service.kind, "name": service.name, "endpoints": endpoints})
	}
	return services
}

// versions answers at the root of a service and at that of a version.
func (r *recorder) versions(name, path string) any {
	at := func(id, suffix string) map[string]any {
		base := strings.TrimRight(versionInPath.ReplaceAllString("/"+path, ""), "/")
		return map[string]any{"id": id, "status": "CURRENT", "version": "2.90", "min_version": "2.1", "links": []any{map[string]any{"rel": "self", "href": r.URL + "/" + name + base + suffix}}}
	}
	switch {
	case strings.Contains(path, "compute"):
		return map[string]any{"versions": []any{at("v2.1", "/v2.1/")}}
	case strings.Contains(path, "network"):
		return map[string]any{"versions": []any{at("v2.0", "/v2.0/")}}
	case strings.HasSuffix(strings.TrimRight(path, "/"), "v3"):
		return map[string]any{"version": at("v3.14", "/v3/")}
	case path == "", strings.HasSuffix(strings.TrimRight(path, "/"), "identity"):
		return map[string]any{"versions": map[string]any{"values": []any{at("v3.14", "/v3/")}}}
	}
	return map[string]any{"versions": []any{at("v2.9", "/v2/")}}
}

// outcome returns what a case came to: the login that was sent, and where it looked for images, servers and networks.
func (r *recorder) outcome(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent[name] == "" {
		return "nothing sent"
	}
	return strings.Join(append([]string{r.sent[name]}, r.asked[name]...), " ")
}

// prepare writes the files of a case, and returns its directory and its variables.
func prepare(t *testing.T, c cloudstest.Case, url string) (dir string, env map[string]string) {
	t.Helper()
	dir = t.TempDir()
	env = map[string]string{"HOME": filepath.Join(dir, "home")}
	fill := strings.NewReplacer("$URL", url, "$DIR", dir)
	for path, content := range c.Files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, fill.Replace(content))
	}
	for _, variable := range strings.Fields(fill.Replace(c.Env)) {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	return dir, env
}

const goldenClouds = "testdata/clouds.golden"

// readGolden returns what is expected of each case, by its name and who reads it.
func readGolden(t *testing.T, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string]string{}
	for block := range strings.SplitSeq(string(content), "\n\n") {
		name, rest, _ := strings.Cut(strings.TrimPrefix(block, "# "), "\n")
		for line := range strings.SplitSeq(rest, "\n") {
			who, what, _ := strings.Cut(line, ": ")
			expected[name+" "+who] = what
		}
	}
	return expected
}

// TestCloudCases is not parallel: clouds.yaml is looked for in the working directory first.
func TestCloudCases(t *testing.T) {
	golden, err := filepath.Abs(goldenClouds)
	if err != nil {
		t.Fatal(err)
	}
	expected := readGolden(t, golden)
	recorder := newRecorder(t)
	for i, test := range cloudstest.Cases {
		t.Run(test.Name, func(t *testing.T) {
			id := fmt.Sprintf("ndock-%d", i)
			dir, env := prepare(t, test, recorder.URL+"/"+id)
			t.Chdir(dir)
			t.Setenv("HOME", env["HOME"])
			err := listAll(t, func(name string) string { return env[name] })
			if got, want := recorder.outcome(id), expected[test.Name+" ndock"]; got != want {
				t.Errorf("ndock: %s (%v)\nwant:  %s", got, err, want)
			}
			switch {
			case test.Error != "":
				openstacktest.WantError(t, err, test.Error)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func listAll(t *testing.T, env func(string) string) error {
	t.Helper()
	cloud, err := openWith(t, env, Selection{Cloud: env("OS_CLOUD"), Agent: "test"})
	if err != nil {
		return err
	}
	if _, err = cloud.Images(t.Context()); err == nil {
		_, err = cloud.Servers(t.Context())
	}
	if err == nil {
		_, err = cloud.Networks(t.Context())
	}
	return err
}

// TestCloudCasesWithOpenstacksdk shows that the table is right about openstacksdk, where the release is installed with
// which it was written.
func TestCloudCasesWithOpenstacksdk(t *testing.T) {
	const python, release = "/usr/bin/python3", "0.101.0"
	installed, _ := exec.Command(python, "-c", "import openstack.version; print(openstack.version.__version__)").Output()
	if strings.TrimSpace(string(installed)) != release {
		t.Skipf("openstacksdk %s is not installed", release)
	}
	expected := readGolden(t, goldenClouds)
	recorder := newRecorder(t)
	failures := runOpenstacksdk(t, python, recorder.URL)
	for i, test := range cloudstest.Cases {
		got, want := recorder.outcome(fmt.Sprintf("sdk-%d", i)), expected[test.Name+" openstacksdk"]
		if want == "the same" {
			want = expected[test.Name+" ndock"]
		}
		if got != want {
			t.Errorf("%s: openstacksdk: %s (%s)\nwant: %s", test.Name, got, failures[i], want)
		}
	}
}

// runOpenstacksdk has openstacksdk read all cases, and returns why each failed; empty for one that did not.
func runOpenstacksdk(t *testing.T, python, url string) []string {
	t.Helper()
	type run struct {
		Dir string            `json:"dir"`
		Env map[string]string `json:"env"`
	}
	var runs []run
	for i, test := range cloudstest.Cases {
		dir, env := prepare(t, test, fmt.Sprintf("%s/sdk-%d", url, i))
		runs = append(runs, run{dir, env})
	}
	input, err := json.Marshal(runs)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "openstacksdk.py"))
	command.Stdin, command.Stderr = bytes.NewReader(input), os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var failures []string
	if err := json.Unmarshal(output, &failures); err != nil {
		t.Fatal(err)
	}
	return failures
}

// TestWriteCloudCases writes down anew what ndock and openstacksdk do, when UPDATE is set.
func TestWriteCloudCases(t *testing.T) {
	if os.Getenv("UPDATE") == "" {
		t.Skip("UPDATE is not set")
	}
	golden, err := filepath.Abs(goldenClouds)
	if err != nil {
		t.Fatal(err)
	}
	recorder := newRecorder(t)
	runOpenstacksdk(t, "/usr/bin/python3", recorder.URL)
	var written strings.Builder
	for i, test := range cloudstest.Cases {
		dir, env := prepare(t, test, fmt.Sprintf("%s/ndock-%d", recorder.URL, i))
		t.Chdir(dir)
		t.Setenv("HOME", env["HOME"])
		_ = listAll(t, func(name string) string { return env[name] }) // that it fails is in TestCloudCases
		ndock, sdk := recorder.outcome(fmt.Sprintf("ndock-%d", i)), recorder.outcome(fmt.Sprintf("sdk-%d", i))
		if ndock == sdk {
			sdk = "the same"
		}
		fmt.Fprintf(&written, "# %s\nndock: %s\nopenstacksdk: %s\n\n", test.Name, ndock, sdk)
	}
	write(t, golden, strings.TrimRight(written.String(), "\n"))
}
