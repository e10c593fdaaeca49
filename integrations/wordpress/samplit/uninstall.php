<?php
/**
 * The plugin is deleted: its settings go, and the signing secret with them. What was noted on orders
 * stays with the orders.
 *
 * @package Samplit
 */

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

delete_option( 'samplit' );
