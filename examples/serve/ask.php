<?php
// Asks about one image. Prints the decision; the exit code is 0 only when it is `allow`.
$server = getenv('ATHENA_SERVER') ?: 'http://127.0.0.1:8080';
$decision = 'none';
$request = curl_init("$server/v1/classify");
curl_setopt_array($request, [
    CURLOPT_POST => true,
    CURLOPT_POSTFIELDS => file_get_contents($argv[1]),
    CURLOPT_HTTPHEADER => ['Content-Type: application/octet-stream', 'Expect:'],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 90,
    CURLOPT_HEADERFUNCTION => function ($_, string $line) use (&$decision): int {
        if (stripos($line, 'athena-decision:') === 0) {
            $decision = trim(substr($line, strlen('athena-decision:')));
        }
        return strlen($line);
    },
]);
curl_exec($request);
echo "$decision\n";
exit($decision === 'allow' ? 0 : 1);
