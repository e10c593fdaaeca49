<?php
/**
 * Runs the plugin on the stubs: `php run.php <server> <token> <signing secret>`. The server is real.
 *
 * @package Samplit
 */

require __DIR__ . '/stubs.php';
require __DIR__ . '/../samplit/samplit.php';

list( , $server, $token, $secret ) = $argv;

function check( string $what, $found, $expected ): void {
	if ( $found !== $expected ) {
		printf( "%s: found %s, expected %s\n", $what, var_export( $found, true ), var_export( $expected, true ) );
		exit( 1 );
	}
}
function printed( string $hook ): string {
	ob_start();
	do_action( $hook );
	return (string) ob_get_clean();
}

// Without settings there is nothing on the page.
check( 'head without settings', printed( 'wp_head' ), '' );

// Settings: what makes no sense is refused, and an empty secret keeps the one that is there.
do_action( 'admin_init' );
$good = array( 'server' => "$server/", 'token' => " $token ", 'secret' => $secret, 'hide' => ' 0250' );
$stage->options['samplit'] = ( $stage->check )( $good );
$expected = array( 'server' => $server, 'token' => $token, 'secret' => $secret, 'hide' => '250' );
check( 'settings', $stage->options['samplit'], $expected );
$bad  = array( 'server' => 'javascript:alert(1)', 'token' => 'sk_1', 'secret' => '', 'hide' => '1001' );
$kept = ( $stage->check )( $bad );
check( 'bad settings', $kept, $stage->options['samplit'] );
check( 'errors', $stage->errors, array( 'server', 'token', 'hide' ) );
do_action( 'admin_menu' );
check( 'who may see the settings', $stage->page[0], 'manage_options' );
ob_start();
( $stage->page[1] )();
$page = (string) ob_get_clean();
check( 'the page shows the server', str_contains( $page, $server ), true );
check( 'the page hides the secret', str_contains( $page, $secret ), false );

// The head is the same for everybody.
$head = printed( 'wp_head' );
check( 'the script', str_contains( $head, "$server/s/$token.js" ), true );
check( 'no place left', str_contains( $head, '__SAMPLIT' ), false );
check( 'for how long it hides', str_contains( $head, '250' ), true );
check( 'no secret', str_contains( $head, $secret ), false );
$_COOKIE['samplit_order_visitor'] = 'visitor-1';
check( 'the same head for a visitor', printed( 'wp_head' ), $head );

// An order of nobody we know is not sent.
unset( $_COOKIE['samplit_order_visitor'] );
$stage->orders[41] = new WC_Order( '5.00' );
do_action( 'woocommerce_checkout_create_order', $stage->orders[41], array() );
do_action( 'woocommerce_order_status_processing', 41 );
check( 'nothing queued', $stage->scheduled, array() );

// One of a visitor is queued once, whatever its status does.
$_COOKIE['samplit_order_visitor'] = 'visitor-1';
$stage->orders[42] = new WC_Order( '19.90' );
do_action( 'woocommerce_store_api_checkout_update_order_meta', $stage->orders[42] );
check( 'saved at the checkout of blocks', $stage->orders[42]->saved, 1 );
foreach ( array( 'on-hold', 'processing', 'completed' ) as $status ) {
	do_action( "woocommerce_order_status_$status", 42 );
}
check( 'queued', $stage->scheduled, array( array( 0, 'samplit_send_order', array( 42, 0 ) ) ) );

// While the server is away it is queued again, later each time, and at last given up.
$stage->scheduled = array();
$stage->answers   = array( null, array( 'status' => 503 ) );
do_action( 'samplit_send_order', 42, 0 );
do_action( 'samplit_send_order', 42, 1 );
$again = array( array( 60, 'samplit_send_order', array( 42, 1 ) ), array( 300, 'samplit_send_order', array( 42, 2 ) ) );
check( 'queued again', $stage->scheduled, $again );
$stage->answers = array( array( 'status' => 503 ), array( 'status' => 422 ) );
do_action( 'samplit_send_order', 42, 7 );
do_action( 'samplit_send_order', 42, 0 );
check( 'given up', $stage->scheduled, $again );

// The server takes it.
do_action( 'samplit_send_order', 42, 2 );
check( 'taken', $stage->scheduled, $again );
list( , $request ) = end( $stage->sent );
check( 'nothing of the customer', array_keys( json_decode( $request['body'], true ) ), array( 'order_id', 'visitor_id', 'total', 'currency' ) );
// Deleted, it leaves no secret behind.
define( 'WP_UNINSTALL_PLUGIN', 'samplit/samplit.php' );
require __DIR__ . '/../samplit/uninstall.php';
check( 'nothing left', $stage->options, array() );
echo "ok\n";
