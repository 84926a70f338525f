package archive

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits of an image's configuration. They are far above those of known images, and far below what harms an engine.
// An engine reads every configuration into memory, makes a volume for each VOLUME of each container, and sends all
// labels with each list of containers.
const (
	layersLimit   = 127       // an engine's own limit is MaxEngineLayers
	historyLimit  = 1024      // one entry for each instruction of a Dockerfile
	volumesLimit  = 64        // known images have fewer than ten
	portsLimit    = 20_000    // coturn exposes 16,387
	labelsLimit   = 1024      // buildpacks' builders have about 20
	envLimit      = 1024      // variables
	labelsBytes   = 512 << 10 // buildpacks' builders keep lists of up to 200 KiB in labels
	settingsBytes = 1 << 20   // environment, commands and the like; the kernel allows 128 KiB in one string, 2 MiB in all
)

// Config is an image's configuration as Docker Engine reads it. A command may be one string, which means a list of
// that string.
type Config struct {
	dockerspec.DockerOCIImage
	Config containerConfig `json:"config"`
}

type containerConfig struct {
	dockerspec.DockerOCIImageConfig
	Entrypoint, Cmd, Shell stringOrList
}

type stringOrList []string

// UnmarshalJSON implements json.Unmarshaler.
func (w *stringOrList) UnmarshalJSON(text []byte) error {
	var one string
	if string(text) != "null" && json.Unmarshal(text, &one) == nil {
		*w = stringOrList{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(w))
}

// ParseConfig reads an image's configuration. It returns an *Error if it is not JSON or has more than one meaning.
func ParseConfig(text []byte) (Config, error) {
	var image Config
	if err := parseJSON(text, &image); err != nil {
		return image, refuse("its configuration: %v", err)
	}
	return image, nil
}

// ParseManifest reads an OCI manifest. It returns an *Error if it is not JSON or has more than one meaning.
func ParseManifest(text []byte) (ocispec.Manifest, error) {
	var found ocispec.Manifest
	if err := parseJSON(text, &found); err != nil {
		return found, refuse("its manifest: %v", err)
	}
	return found, nil
}

// ParseIndex reads an OCI index. It returns an *Error if it is not JSON or has more than one meaning.
func ParseIndex(text []byte) (ocispec.Index, error) {
	var found ocispec.Index
	if err := parseJSON(text, &found); err != nil {
		return found, refuse("its index: %v", err)
	}
	return found, nil
}

// checkConfig reads a configuration. It refuses one that is too large, or that two readers may read differently.
func checkConfig(text []byte) (Config, error) {
	var image Config
	if err := parseJSON(text, &image); err != nil {
		return image, err
	}
	if err := checkKeys(text); err != nil {
		return image, err
	}
	c := image.Config
	settings := [][]string{c.Env, c.Cmd, c.Entrypoint, c.Shell, c.OnBuild, {c.User, c.WorkingDir, c.StopSignal}}
	if c.Healthcheck != nil {
		settings = append(settings, c.Healthcheck.Test)
	}
	var labels int
	for key, value := range c.Labels {
		labels += len(key) + len(value)
	}
	return image, cmp.Or(
		checkMax(len(image.RootFS.DiffIDs), layersLimit, "layers"),
		checkMax(len(image.History), historyLimit, "entries in its history"),
		checkMax(len(c.Volumes), volumesLimit, "volumes"),
		checkMax(len(c.ExposedPorts), portsLimit, "exposed ports"),
		checkMax(len(c.Labels), labelsLimit, "labels"),
		checkMax(labels, labelsBytes, "bytes of labels"),
		checkMax(len(c.Env), envLimit, "environment variables"),
		checkMax(totalLength(settings), settingsBytes, "bytes of environment, command and other settings"),
	)
}

func totalLength(all [][]string) int {
	var sum int
	for _, list := range all {
		for _, text := range list {
			sum += len(text) + 1 // an empty string takes space, too
		}
	}
	return sum
}

func checkMax(n, limit int, of string) error {
	if n > limit {
		return fmt.Errorf("it has %d %s; at most %d are allowed", n, of, limit)
	}
	return nil
}

// checkKeys refuses a configuration with an important key in the wrong case. Go's JSON, which Docker uses, accepts
// such a key; other readers do not.
func checkKeys(text []byte) error {
	var image, rootfs map[string]json.RawMessage
	if err := json.Unmarshal(text, &image); err != nil {
		return err
	}
	if layers, ok := image["rootfs"]; ok {
		if err := json.Unmarshal(layers, &rootfs); err != nil {
			return err
		}
	}
	return cmp.Or(checkKeyCase(image, "architecture", "os", "variant", "config", "rootfs"), checkKeyCase(rootfs, "diff_ids"))
}

func checkKeyCase(object map[string]json.RawMessage, known ...string) error {
	for key := range object {
		for _, name := range known {
			if key != name && foldKey(key) == foldKey(name) {
				return fmt.Errorf("it has the key %q, which should be %q", key, name)
			}
		}
	}
	return nil
}

// Limits of JSON. A value may have three bytes in the text, and takes about a hundred in memory.
const (
	valuesLimit = 100_000
	jsonDepth   = 32
)

// parseJSON reads JSON that has one meaning: no object has a key twice, in whatever case.
func parseJSON(text []byte, into any) error {
	if len(text) > DescriptionLimit {
		return fmt.Errorf("it has %d bytes, more than any image needs", len(text))
	}
	if slices.ContainsFunc(byteOrderMarks, func(mark string) bool { return strings.HasPrefix(string(text[:min(len(text), len(mark))]), mark) }) {
		return errors.New("it begins with a byte order mark, which JSON must not have: write it as UTF-8 without one")
	}
	if err := checkJSON(text); err != nil {
		return explainJSON(err)
	}
	return explainJSON(json.Unmarshal(text, into))
}

// byteOrderMarks are those of UTF-8 and UTF-16. PowerShell writes them.
var byteOrderMarks = []string{"\uFEFF", "\xff\xfe", "\xfe\xff"}

// explainJSON names the field that has the wrong type, and says what Docker expects there.
func explainJSON(err error) error {
	var wrong *json.UnmarshalTypeError
	var date *time.ParseError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("it is no JSON: %w", err)
	case errors.As(err, &wrong) && wrong.Field == "":
		return fmt.Errorf("it is %s where %s should be", jsonKind(wrong.Value), goKind(wrong.Type))
	case errors.As(err, &wrong):
		field := jsonField(wrong.Field)
		return fmt.Errorf("its field %s has %s where %s should be%s", field, jsonKind(wrong.Value), goKind(wrong.Type), fieldExample(field, wrong.Type))
	case errors.As(err, &date):
		return fmt.Errorf("its field created has %.40q where a time should be, as \"2006-01-02T15:04:05Z\"; it may be left out", date.Value)
	}
	return err
}

// jsonKind describes the type of a value in plain words. Go's JSON calls it "array", or "number 1.5".
func jsonKind(value string) string {
	switch kind, _, _ := strings.Cut(value, " "); kind {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	default:
		return "a " + kind
	}
}

func goKind(of reflect.Type) string {
	switch of.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	default:
		return "a whole number"
	}
}

// jsonField removes the names of embedded Go structs from the path of a field.
func jsonField(path string) string {
	parts := slices.DeleteFunc(strings.Split(path, "."), func(part string) bool { return slices.Contains(embeddedStructs, part) })
	return strings.Join(parts, ".")
}

var embeddedStructs = []string{"DockerOCIImage", "DockerOCIImageConfig", "DockerOCIImageConfigExt", "Image", "ImageConfig", "Platform", "Versioned"}

// fieldExample returns an example of a field that is often written wrongly, or "".
func fieldExample(field string, of reflect.Type) string {
	example := fieldExamples[field[strings.LastIndex(field, ".")+1:]]
	if example == "" || of.Kind() == reflect.String && example[0] != '"' {
		return ""
	}
	return ", as " + example
}

var fieldExamples = map[string]string{
	"Cmd": `["sleep", "60"]`, "Entrypoint": `["/entrypoint.sh"]`, "Shell": `["/bin/sh", "-c"]`, "OnBuild": `["RUN true"]`, "Test": `["CMD", "true"]`,
	"Env": `["NAME=value"]`, "Labels": `{"name": "value"}`, "Volumes": `{"/data": {}}`, "ExposedPorts": `{"80/tcp": {}}`, "User": `"1000"`,
	"StopSignal": `"SIGTERM"`, "WorkingDir": `"/srv"`, "RepoTags": `["web:1"]`, "Layers": `["layer.tar"]`,
	"Interval": "30000000000, which is 30 s", "Timeout": "30000000000, which is 30 s", "StartPeriod": "30000000000, which is 30 s", "StartInterval": "30000000000, which is 30 s",
}

// jsonScope is an object or a list that is being read.
type jsonScope struct {
	keys          map[string]bool // keys of the object so far; nil for a list
	caseSensitive bool            // the keys are data, so their case matters
	key           string          // the last key
	valueNext     bool            // the next token is a value, not a key
}

// checkJSON refuses keys that occur twice, and more values or deeper nesting than an image has.
func checkJSON(text []byte) error {
	tokens := json.NewDecoder(bytes.NewReader(text))
	tokens.UseNumber()
	var open []*jsonScope
	for values := 0; ; values++ {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if values > valuesLimit {
			return fmt.Errorf("it has more than %d values", valuesLimit)
		}
		if open, err = nextToken(open, token); err != nil {
			return err
		}
	}
}

// nextToken opens or closes the scope that a token begins or ends, and records keys.
func nextToken(open []*jsonScope, token json.Token) ([]*jsonScope, error) {
	if token == json.Delim('}') || token == json.Delim(']') {
		return open[:len(open)-1], nil
	}
	next := &jsonScope{}
	if len(open) > 0 {
		in := open[len(open)-1]
		if key, ok := token.(string); ok && in.keys != nil && !in.valueNext {
			return open, in.add(key)
		}
		in.valueNext, next.caseSensitive = false, in.keys != nil && dataKeys[foldKey(in.key)]
	}
	switch token {
	case json.Delim('{'):
		next.keys = map[string]bool{}
	case json.Delim('['):
	default:
		return open, nil
	}
	if len(open) == jsonDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", jsonDepth)
	}
	return append(open, next), nil
}

// dataKeys name the objects whose keys are data. Some images have labels that differ only in case.
var dataKeys = map[string]bool{foldKey("Labels"): true, foldKey("Volumes"): true, foldKey("ExposedPorts"): true, foldKey("annotations"): true}

func (n *jsonScope) add(key string) error {
	n.key, n.valueNext = key, true
	if !n.caseSensitive {
		key = foldKey(key)
	}
	if n.keys[key] {
		return fmt.Errorf("it has the key %.80q twice", n.key)
	}
	n.keys[key] = true
	return nil
}

// foldKey maps all spellings of a key that Go's JSON treats as the same to one.
func foldKey(key string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, key)
}
