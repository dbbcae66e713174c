# Certificates and kubeconfigs; sourced. The folder $PKI gets NAME.key and NAME.crt.
# shellcheck shell=bash

request() {
  openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') "$@" 2>/dev/null
}
# ca NAME COMMON_NAME
ca() {
  request -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -subj "/CN=$2" -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash
}
# cert NAME CA SUBJECT EXTENDED_USAGE [ALTERNATIVE_NAMES]
cert() {
  request -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -subj "$3" \
    -addext keyUsage=critical,digitalSignature -addext "extendedKeyUsage=$4" ${5:+-addext "subjectAltName=$5"}
}
# The pair of keys that tokens of service accounts are signed with.
service_account_keys() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/sa.key"
  openssl ec -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
}
# kubeconfig USER PORT FILE: for an API server on 127.0.0.1.
kubeconfig() {
  cat >"$3" <<Y
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "https://127.0.0.1:$2", certificate-authority-data: $(base64 -w0 <"$PKI/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 <"$PKI/$1.crt"), client-key-data: $(base64 -w0 <"$PKI/$1.key")}}]
contexts: [{name: node, context: {cluster: node, user: $1, namespace: default}}]
current-context: node
Y
  chmod 600 "$3"
}
