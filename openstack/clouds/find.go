// Package clouds finds a cloud and how to log in to it, in clouds.yaml or in the variables of an openrc, as openstacksdk
// does. It asks no service.
package clouds

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// Login is all that is needed to log in to a cloud.
type Login struct {
	Name     string // for messages
	Auth     gophercloud.AuthOptions
	Endpoint gophercloud.EndpointOpts
	TLS      *tls.Config
	Timeout  time.Duration // for an answer to begin; 0 for as long as it takes
	services settings      // what is said of single services, see Locator
}

// settings looks up a setting of a cloud by its name in clouds.yaml, in the part auth or beside it. Variables have the
// same names with OS_ before them.
type settings func(name string) value

// text returns the first of the settings that is there.
func (s settings) text(names ...string) string {
	for _, name := range names {
		if text := s(name).text; text != "" {
			return text
		}
	}
	return ""
}

// expanded returns a setting with the region's name where {region_name} stands, as in vendors' profiles.
func (s settings) expanded(text string) string {
	return strings.ReplaceAll(text, "{region_name}", s.region())
}

// region returns the region. An openrc may have a list, of which the first counts.
func (s settings) region() string {
	region, _, _ := strings.Cut(s.text("region_name"), ",")
	return region
}

// loginVariables are those of an openrc without which it says nothing.
var loginVariables = []string{"OS_USERNAME", "OS_USER_ID", "OS_PASSWORD", "OS_TOKEN", "OS_APPLICATION_CREDENTIAL_SECRET"}

// Find finds the cloud that is named. When none is, it takes the one of the variables of an openrc, or the only one of
// clouds.yaml. What is given counts before both. It sends nothing. Its errors are of the type *Error; one because of the auth_type is ErrLoginMethod.
func Find(cloud string, given Given, env func(string) string) (Login, error) {
	env = given.variables(env)
	if cloud == "" && anySet(env, "OS_AUTH_URL") {
		return fromEnvironment(given, env)
	}
	files, err := readConfigFiles(env)
	if err != nil {
		if cloud == "" {
			return Login{}, &Error{Op: "find a cloud", Err: err}
		}
		return Login{}, useCloud(fmt.Sprintf("cloud %q", cloud), err)
	}
	found, err := files.find(cloud, given, env)
	if err != nil {
		err = files.mention(err)
	}
	return found, err
}

func (f configFiles) find(cloud string, given Given, env func(string) string) (Login, error) {
	names := f.names()
	if cloud == "" && len(names) == 1 && !anySet(env, loginVariables...) {
		cloud = names[0]
	}
	switch {
	case slices.Contains(names, cloud):
		return f.login(cloud, given, env)
	case cloud == "" && len(names) > 1:
		return Login{}, &Error{Op: "find a cloud", Err: fmt.Errorf("%s has more than one: %s", f.path, listed(names)), Setting: SettingCloud, hint: "export OS_CLOUD=NAME, or give --os-cloud NAME"}
	case cloud == "", cloud == cmp.Or(env("OS_CLOUD_NAME"), "envvars"):
		return fromEnvironment(given, env)
	}
	return Login{}, f.unknown(cloud)
}

func anySet(env func(string) string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return env(name) != "" })
}

// login reads a cloud of clouds.yaml.
func (f configFiles) login(cloud string, given Given, env func(string) string) (Login, error) {
	found, err := f.cloud(cloud, env)
	if err != nil {
		return Login{}, useCloud(fmt.Sprintf("cloud %q", cloud), err)
	}
	return newLogin(fmt.Sprintf("cloud %q", cloud), given, found)
}

// useCloud says of which cloud an error is.
func useCloud(name string, err error) error {
	failure := &Error{Op: "use " + name, Err: err}
	var cause *Error
	if errors.As(err, &cause) {
		failure.Setting, failure.hint = cause.Setting, cause.hint
	}
	return failure
}

// fromEnvironment reads the variables of an openrc.
func fromEnvironment(given Given, env func(string) string) (Login, error) {
	address := env("OS_AUTH_URL")
	if address == "" {
		return Login{}, &Error{Op: "find a cloud", Err: fmt.Errorf("neither OS_CLOUD nor OS_AUTH_URL is set"), Setting: SettingCloud, hint: "export OS_CLOUD=NAME (of clouds.yaml), or give --os-cloud NAME, or source an openrc"}
	}
	if parsed, err := url.Parse(address); err == nil {
		address = parsed.Redacted()
	}
	return newLogin(address, given, func(name string) value { return value{text: env("OS_" + strings.ToUpper(name))} })
}

// newLogin reads the settings of a cloud. What ndock cannot do is an error, before anything is sent.
func newLogin(name string, given Given, s settings) (Login, error) {
	s = given.over(s)
	auth, err := authOptions(s)
	if err == nil {
		err = given.unused(auth)
	}
	if err != nil {
		return Login{}, useCloud(name, err)
	}
	availability, err := availability(s.text("interface", "endpoint_type"))
	if err != nil {
		return Login{}, useCloud(name, err)
	}
	config, err := tlsConfig(s)
	if err != nil {
		return Login{}, useCloud(name, err)
	}
	timeout, err := apiTimeout(s.text("api_timeout"))
	if err != nil {
		return Login{}, useCloud(name, err)
	}
	endpoint := gophercloud.EndpointOpts{Region: s.region(), Availability: availability}
	return Login{Name: name, Auth: auth, Endpoint: endpoint, TLS: config, Timeout: timeout, services: s}, nil
}

func availability(wanted string) (gophercloud.Availability, error) {
	switch found := gophercloud.Availability(strings.TrimSuffix(wanted, "URL")); found {
	case "":
		return gophercloud.AvailabilityPublic, nil
	case gophercloud.AvailabilityPublic, gophercloud.AvailabilityInternal, gophercloud.AvailabilityAdmin:
		return found, nil
	}
	return "", fmt.Errorf("interface is %q; there are public, internal and admin", wanted)
}

func apiTimeout(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0 && seconds < 1e6) {
		return 0, fmt.Errorf("api_timeout is %q; it is a number of seconds", text)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
