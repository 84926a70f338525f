package openstack

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
)

// login is all that is needed to log in to a cloud.
type login struct {
	name     string // for messages
	auth     gophercloud.AuthOptions
	endpoint gophercloud.EndpointOpts
	tls      *tls.Config
}

// credentials reads clouds.yaml for the cloud named, or the variables of an openrc when none is.
func credentials(cloud string) (login, error) {
	if cloud == "" {
		return fromEnvironment(os.Getenv)
	}
	auth, endpoint, tlsConfig, err := clouds.Parse(clouds.WithCloudName(cloud))
	if err != nil {
		return login{}, &Error{Op: fmt.Sprintf("use cloud %q", cloud), Err: err, hint: "clouds.yaml is looked for in ., ~/.config/openstack and /etc/openstack, or where OS_CLIENT_CONFIG_FILE says"}
	}
	defaultDomains(&auth)
	return login{fmt.Sprintf("cloud %q", cloud), auth, endpoint, tlsConfig}, nil
}

// defaultDomains fills in what openstackclient does where a file names no domain.
func defaultDomains(auth *gophercloud.AuthOptions) {
	if auth.Username != "" && auth.DomainID == "" && auth.DomainName == "" {
		auth.DomainID = "default"
	}
	if scope := auth.Scope; scope != nil && scope.ProjectName != "" && scope.DomainID == "" && scope.DomainName == "" {
		scope.DomainID = "default"
	}
}

// fromEnvironment reads the variables of an openrc. gophercloud's own reading of them leaves out the domains of
// user and project, without which Keystone v3 knows neither.
func fromEnvironment(env func(string) string) (login, error) {
	url := env("OS_AUTH_URL")
	if url == "" {
		return login{}, &Error{Op: "find a cloud", Err: fmt.Errorf("neither OS_CLOUD nor OS_AUTH_URL is set"), hint: "export OS_CLOUD=NAME (of clouds.yaml), or give --os-cloud NAME, or source an openrc"}
	}
	auth := gophercloud.AuthOptions{
		IdentityEndpoint:            url,
		Username:                    env("OS_USERNAME"),
		UserID:                      env("OS_USER_ID"),
		Password:                    env("OS_PASSWORD"),
		TokenID:                     env("OS_TOKEN"),
		ApplicationCredentialID:     env("OS_APPLICATION_CREDENTIAL_ID"),
		ApplicationCredentialName:   env("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationCredentialSecret: env("OS_APPLICATION_CREDENTIAL_SECRET"),
	}
	if auth.Username != "" {
		auth.DomainID, auth.DomainName = domain(env, "USER")
	}
	if auth.ApplicationCredentialID == "" && auth.ApplicationCredentialName == "" {
		auth.Scope = scope(env)
	}
	tlsConfig, err := tlsFrom(env)
	endpoint := gophercloud.EndpointOpts{Region: env("OS_REGION_NAME"), Availability: availability(env)}
	return login{url, auth, endpoint, tlsConfig}, err
}

func scope(env func(string) string) *gophercloud.AuthScope {
	if id := cmp.Or(env("OS_PROJECT_ID"), env("OS_TENANT_ID")); id != "" {
		return &gophercloud.AuthScope{ProjectID: id}
	}
	name := cmp.Or(env("OS_PROJECT_NAME"), env("OS_TENANT_NAME"))
	if name == "" {
		return nil
	}
	id, domainName := domain(env, "PROJECT")
	return &gophercloud.AuthScope{ProjectName: name, DomainID: id, DomainName: domainName}
}

// domain is that of the user or the project; only one of id and name may be given to Keystone.
func domain(env func(string) string, of string) (id, name string) {
	if id = cmp.Or(env("OS_"+of+"_DOMAIN_ID"), env("OS_DOMAIN_ID")); id != "" {
		return id, ""
	}
	if name = cmp.Or(env("OS_"+of+"_DOMAIN_NAME"), env("OS_DOMAIN_NAME"), env("OS_DEFAULT_DOMAIN_NAME")); name != "" {
		return "", name
	}
	return cmp.Or(env("OS_DEFAULT_DOMAIN"), "default"), ""
}

func availability(env func(string) string) gophercloud.Availability {
	wanted := cmp.Or(env("OS_INTERFACE"), env("OS_ENDPOINT_TYPE"), "public")
	return gophercloud.Availability(strings.TrimSuffix(wanted, "URL"))
}

func tlsFrom(env func(string) string) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: strings.EqualFold(env("OS_INSECURE"), "true")}
	path := env("OS_CACERT")
	if path == "" {
		return config, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{Op: "read OS_CACERT", Err: err}
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, &Error{Op: "read OS_CACERT", Err: fmt.Errorf("%s holds no certificate", path)}
	}
	return config, nil
}
